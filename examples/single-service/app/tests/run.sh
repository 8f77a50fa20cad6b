#!/bin/sh
# The unit tests. They run inside the built image and leave a JUnit report in /reports.
report=/reports/junit.xml
cases=''
count=0
failures=0

check() { # NAME WANTED COMMAND...: the command's output must contain the text
    name=$1 wanted=$2
    shift 2
    count=$((count + 1))
    if output=$("$@" 2>&1) && [ "${output#*"$wanted"}" != "$output" ]; then
        echo "ok      $name"
        cases="$cases  <testcase classname=\"hello\" name=\"$name\"/>
"
    else
        failures=$((failures + 1))
        echo "FAILED  $name: wanted '$wanted', got '$output'"
        cases="$cases  <testcase classname=\"hello\" name=\"$name\"><failure message=\"wanted $wanted\"/></testcase>
"
    fi
}

get() { wget -q -O - "http://127.0.0.1:8081$1"; }

greet() { QUERY_STRING=$1 /www/cgi-bin/greet; }

httpd -f -p 127.0.0.1:8081 -h /www &
server=$!
attempts=0
until get / >/dev/null 2>&1 || [ $attempts -ge 50 ]; do
    attempts=$((attempts + 1))
    sleep 0.1
done

check "the page is served" "by pull request" get /
check "a name is greeted" "Hello, Ada!" get "/cgi-bin/greet?name=Ada"
check "without a name the world is greeted" "Hello, world!" greet ""
check "markup in a name is dropped" "Hello, script!" greet "name=<script>"

kill $server
printf '<?xml version="1.0"?>\n<testsuite name="hello" tests="%s" failures="%s">\n%s</testsuite>\n' \
    "$count" "$failures" "$cases" >$report
[ "$failures" -eq 0 ]
