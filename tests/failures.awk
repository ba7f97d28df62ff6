# Reads nextest's JUnit report: how many passed and failed, and for each failure the command that
# repeats it, with the seed that it printed.
function attribute(line, name,    at) {
    at = match(line, " " name "=\"[^\"]*\"")
    return at ? substr(line, at + length(name) + 3, RLENGTH - length(name) - 4) : ""
}
function close_case() {
    if (test == "") return
    if (!failed_here) { passed++; test = ""; return }
    failed++
    split(suite, id, "::")
    binary = id[2] == "" ? "" : " \\& binary(=" id[2] ")"
    gsub(/\\/, "", binary)
    repeats[failed] = (seed == "" ? "" : "SEED=" seed " ") "tests/run.sh -E 'package(=" id[1] ")" binary " & test(=" test ")'"
    test = ""
}
/<testcase / { close_case(); test = attribute($0, "name"); suite = attribute($0, "classname"); failed_here = 0; seed = "" }
/<(failure|error|flakyFailure|rerunFailure)[ >]/ { failed_here = 1 }
match($0, /SEED=[0-9]+/) { if (seed == "") seed = substr($0, RSTART + 5, RLENGTH - 5) }
END {
    close_case()
    print "passed " passed + 0
    print "failed " failed + 0
    for (i = 1; i <= failed; i++) print "repeat " repeats[i]
}
