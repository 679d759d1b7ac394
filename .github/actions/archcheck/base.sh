# Reads the file $SNAPSHOT as it is committed at the base of this pull request or push, and writes where it was put
# to $GITHUB_OUTPUT. The base is only read: nothing of it is checked out, built or run. Where there is no base or no
# snapshot, a notice says so; that is never a failure.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/commands.sh"
export GIT_TERMINAL_PROMPT=0

leave() {
  say notice "no comparison with the base: $1"
  exit 0
}

# What is checked out could hold a bare repository for git to find, and hooks that `core.hooksPath` leads to.
git() { command git -c safe.bareRepository=explicit -c core.hooksPath=/dev/null -c core.fsmonitor=false "$@"; }

is_here() { git cat-file -e "$1^{commit}" 2> /dev/null; }

# A depth would cut off what a whole clone has.
fetch() {
  local depth=""
  if [ "$(git rev-parse --is-shallow-repository)" = true ]; then depth=1; fi
  git -c gc.auto=0 -c http.lowSpeedLimit=1 -c http.lowSpeedTime=30 fetch --quiet --no-tags --no-recurse-submodules \
    ${depth:+--depth=1} origin "$1" 2> /dev/null
}

# Read from the commit itself: in a shallow clone git says that the last commit has no parent.
first_parent() { git cat-file commit HEAD | sed -n '/^$/q; s/^parent //p' | head -n 1; }

head=$(git rev-parse --verify --quiet HEAD 2> /dev/null) || leave "this is no clone of a repository with commits"
if [[ "${GITHUB_EVENT_NAME:-}" == pull_request* ]]; then
  if [ "$head" = "${GITHUB_SHA:-}" ] && [ "$GITHUB_EVENT_NAME" = pull_request ]; then
    base=$(first_parent) # of the merge that GitHub made of the pull request: where its base branch is
  else
    fetch "+refs/heads/$GITHUB_BASE_REF:refs/remotes/origin/$GITHUB_BASE_REF" || true
    branch="refs/remotes/origin/$GITHUB_BASE_REF"
    base=$(git merge-base "$branch" HEAD 2> /dev/null || git rev-parse --verify --quiet "$branch") ||
      leave "the branch $GITHUB_BASE_REF is not in this clone; give actions/checkout \`fetch-depth: 0\`"
  fi
else
  base=${BEFORE:-}
  # A branch that is new was nowhere before, which the event writes as zeros.
  if [[ ! "$base" =~ ^[0-9a-f]+$ || ! "$base" =~ [1-9a-f] ]]; then base=$(first_parent); fi
fi

if [ -z "$base" ]; then leave "this commit has no parent"; fi
if ! is_here "$base"; then fetch "$base" || true; fi
is_here "$base" || leave "the clone is shallow and lacks commit ${base:0:10}; give actions/checkout \`fetch-depth: 2\`"

file="$(mktemp -d "$RUNNER_TEMP/archcheck.XXXXXX")/base.json"
# `git show` would run what the configuration names for files of this kind.
if ! git cat-file blob "$base:./$SNAPSHOT" > "$file" 2> /dev/null; then
  leave "$SNAPSHOT is not committed at ${base:0:10}; \`archcheck snapshot\` writes it"
fi
printf '%s\n' "commit=$base" "snapshot=$file" >> "$GITHUB_OUTPUT"
echo "the base is ${base:0:10}"
