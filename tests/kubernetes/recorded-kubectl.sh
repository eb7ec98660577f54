#!/bin/sh
# Not kubectl but a recording of one: what it is asked goes into $RECORDING/asked, and what it answers comes from the files
# beside that. NAME.1 is the first answer, NAME.2 the second, NAME all others; without any it fails, with NAME.complaint if
# there is that.
printf '%s\n' "$*" >>"$RECORDING/asked"
shift 2 # --context and its name, which always come first
case "$*" in
*" --dry-run=server") name=dry-run ;;
"apply "*) name=apply ;;
"delete "*) name=delete ;;
"get configmaps,"*) name=made ;;
"get deployments.apps,"*) name=workloads ;;
"get statefulsets.apps "*) name=sets ;;
"get "*) name=$2 ;;
*) name=unknown ;;
esac
number=$(($(cat "$RECORDING/$name.count" 2>/dev/null || echo 0) + 1))
echo "$number" >"$RECORDING/$name.count"
if [ -f "$RECORDING/$name.$number" ]; then
    cat "$RECORDING/$name.$number"
elif [ -f "$RECORDING/$name" ]; then
    cat "$RECORDING/$name"
elif [ -f "$RECORDING/$name.complaint" ]; then
    cat "$RECORDING/$name.complaint" >&2
    exit 1
else
    echo "Error from server (Forbidden): nothing is recorded for $name" >&2
    exit 1
fi
