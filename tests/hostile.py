"""Texts that anybody can put into a branch, a tag, a commit's subject or a test's name, and what they must not do."""

from __future__ import annotations

BIDI = "\u202eesrever\u202c\u2066x\u2069"

# Each tries one thing. What it would do, if it worked, is below.
HOSTILE: dict[str, str] = {
    "a second line": "v1\nstate=merged",
    "a second line, CRLF": "v1\r\nchanged=true",
    "an output of its own": "x\npull-request-url<<EOF\nhttps://evil.example/1\nEOF\n",
    "a guess at the delimiter": "x\nhybrid-ci-00000000000000000000000000000000\nrelease=evil",
    "a command": "::error file=x::planted",
    "a command after blanks": "  \t::add-mask::planted",
    "a command on a new line": "ok\n::set-output name=state::planted",
    "a command after a bare return": "ok\r::warning::planted",
    "a command after a separator": "ok\u2028::notice::planted",
    "an old command in the middle": "ok ##[add-mask]planted ##[group]planted",
    "the end of stopped commands": "::stop-commands::pause",
    "an escape sequence": "\x1b[31mred\x1b[0m\x1b]0;title\x07",
    "a section of GitLab's": "\x1b[0Ksection_end:1:build_1\r\x1b[0K\x1b[0Ksection_start:1:evil\r\x1b[0Kplanted",
    "a C1 control": "\x9b31mred\x85::error::planted",
    "another direction": BIDI,
    "a mention": "fix for @acme/security and @everyone",
    "a keyword": "Fixes #1, closes acme/gitops#2",
    "a link": "[click](https://evil.example) ![x](https://evil.example/p.png) https://evil.example",
    "HTML": "<img src=x onerror=alert(1)><!-- hidden --></details>",
    "the end of code": "a`` ` ``` b\n```\n# planted",
    "a table's border": "a | b\n|---|---|",
    "a workflow expression": "${{ secrets.GITOPS_TOKEN }}",
    "the shell's own": "$(touch /tmp/planted) `id` ; rm -rf / && x",
    "XML": "\"/></testcase><testcase name='planted'/>]]>&amp;",
    "a percent escape": "100%0A::error::planted%0D",
}
