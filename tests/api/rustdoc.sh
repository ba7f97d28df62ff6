#!/bin/sh
# Its JSON is not stable yet. The permission is for this program alone: cargo, given it, would build
# every dependency anew.
RUSTC_BOOTSTRAP=1 exec rustdoc "$@"
