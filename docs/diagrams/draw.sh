#!/usr/bin/env bash
# Draws the diagrams of this folder: NAME.svg of each NAME.dot, with graphviz.
#
#   docs/diagrams/draw.sh            draws them anew
#   docs/diagrams/draw.sh --check    says which of them are not what their text says
#
# Lines and letters take the colour of the page that they stand in, and as a picture of their own
# the reader's preference, light or dark. Where letters stand depends on the fonts of a machine, so
# the check compares what is written, and the text that it was drawn from.
set -euo pipefail
cd "$(dirname "$0")"

# One line, without what only a file needs, so that it can stand within Markdown.
draw() {
    local digest
    digest=$(sha256sum <"$1" | cut -c1-16)
    dot -Tsvg "$1" | sed -n '/<svg/,$p' | sed -e 's/<!--.*-->//' -e 's/<title>[^<]*<\/title>//' \
        -e 's/ stroke="black"/ stroke="currentColor"/g' -e 's/ fill="black"/ fill="currentColor"/g' |
        tr '\n' ' ' | sed -e 's/>  *</></g' -e 's/  */ /g' \
        -e "s|<svg \([^>]*\)>|<svg \1 style=\"max-width:100%;height:auto\" fill=\"currentColor\" role=\"img\" data-source=\"$digest\"><style>svg:root{color:#1f2328}@media(prefers-color-scheme:dark){svg:root{color:#e6edf3}}</style>|"
    echo
}

# What is to be read in a drawing, and what it was drawn from.
written() {
    grep -o '>[^<>]*</text>\|data-source="[^"]*"' "$1" | sort
}

wrong=0
for text in *.dot; do
    svg=${text%.dot}.svg
    if [ "${1:-}" = --check ]; then
        drawn=$(mktemp)
        draw "$text" >"$drawn"
        if ! diff <(written "$drawn") <(written "$svg") >&2; then
            echo "docs/diagrams/$svg is not what $text says: run docs/diagrams/draw.sh" >&2
            wrong=1
        fi
        rm -f "$drawn"
    else
        draw "$text" >"$svg"
    fi
done
exit $wrong
