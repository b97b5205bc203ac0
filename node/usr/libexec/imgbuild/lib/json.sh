# JSON on a node that has neither jq nor Python. Sourced by verify.
# shellcheck shell=bash

# json_lines: prints the JSON on stdin as lines PATH=VALUE in its own order, one for each value that is neither an object
# nor a list: nodes.0.name=cp1. A line break in a string becomes a blank. Fails where stdin is not one whole document.
# Works with any awk: with a quote as the record separator, records are in turn outside and inside of strings.
json_lines() {
    awk '
        function path(    at, text) {
            for (at = 1; at <= depth; at++)
                text = text (at > 1 ? "." : "") (kind[at] == "[" ? count[at] : key[at])
            return text
        }
        function value(text) {
            if (depth == 0)
                broken = 1
            else
                print path() "=" text
        }
        function plain(text,    at, c, made) {
            if (index(text, "\\") == 0)
                return text
            for (at = 1; at <= length(text); at++) {
                c = substr(text, at, 1)
                if (c == "\\") {
                    c = substr(text, ++at, 1)
                    if (c == "u") {
                        c = substr(text, at, 5)
                        at += 4
                        c = c == "u003c" ? "<" : c == "u003e" ? ">" : c == "u0026" ? "&" : "\\" c
                    } else if (index("bfnrt", c))
                        c = " "
                }
                made = made c
            }
            return made
        }
        function outside(text,    at, c) {
            for (at = 1; at <= length(text); at++) {
                c = substr(text, at, 1)
                if (index(" \t\r\n", c) == 0 && index("{}[]:,", c) == 0) {
                    word = word c
                    continue
                }
                if (word != "") {
                    value(word)
                    word = ""
                }
                if (c == "{" || c == "[") {
                    kind[++depth] = c
                    count[depth] = 0
                    named[depth] = 0
                    begun = 1
                } else if (c == "}" || c == "]") {
                    if (depth == 0 || kind[depth] != (c == "}" ? "{" : "["))
                        broken = 1
                    else
                        depth--
                } else if (c == ",") {
                    count[depth]++
                    named[depth] = 0
                } else if (c == ":")
                    named[depth] = 1
            }
            if (depth == 0 && word != "")
                broken = 1
        }
        BEGIN { RS = "\"" }
        broken { next }
        !inside {
            outside($0)
            inside = 1
            if (!begun)
                broken = 1
            next
        }
        {
            text = text $0
            if (match($0, /\\+$/) && RLENGTH % 2) {
                text = text "\""
                next
            }
            inside = 0
            if (kind[depth] == "{" && !named[depth])
                key[depth] = plain(text)
            else
                value(plain(text))
            text = ""
        }
        END { exit broken || !begun || depth > 0 }
    '
}
