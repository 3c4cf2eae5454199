#!/bin/sh
# Runs every line NAME|TITLE|SLUG of cases.txt, and writes what came of it as JUnit's XML.
cd "$(dirname "$0")" || exit 1
report=$1
mkdir -p "$(dirname "$report")"

escaped() {
    printf '%s' "$1" | sed 's/&/\&amp;/g; s/</\&lt;/g; s/"/\&quot;/g'
}

failed=0
{
    echo '<testsuite name="slug">'
    while IFS='|' read -r name title expected; do
        got=$(../slug "$title")
        if [ "$got" = "$expected" ]; then
            echo "  <testcase classname=\"slug\" name=\"$name\"/>"
        else
            failed=1
            echo "$name: '$title' gave '$got', not '$expected'" >&2
            echo "  <testcase classname=\"slug\" name=\"$name\">"
            echo "    <failure message=\"gave $(escaped "$got"), not $(escaped "$expected")\"/>"
            echo "  </testcase>"
        fi
    done < cases.txt
    echo '</testsuite>'
} > "$report"
exit "$failed"
