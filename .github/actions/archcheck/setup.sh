# Finds the interpreter that $PYTHON names, installs what $INSTALL asks for, and writes the path of the interpreter to
# $GITHUB_OUTPUT. The working directory is a repository of others: nothing in it is imported.
set -euo pipefail
unset CDPATH
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/commands.sh"

refuse() {
  say error "$1"
  exit 2
}

# A word without a slash is a command, as in a shell, and only then a folder. A folder of sources may be called
# `python`, so a folder counts only if an interpreter is in it. A relative entry of PATH leads into the repository.
interpreter() {
  local found
  if [[ "$1" != */* ]] && found=$(type -P -- "$1") && [[ "$found" == /* ]]; then
    printf '%s' "$found"
  elif [ -d "$1" ] && [ -x "$1/bin/python" ]; then
    printf '%s' "$(cd -- "$1/bin" && pwd)/python"
  elif [[ "$1" == */* ]] && [ -f "$1" ] && [ -x "$1" ]; then
    printf '%s' "$(cd -- "$(dirname -- "$1")" && pwd)/$(basename -- "$1")"
  else
    return 1
  fi
}

python=$(interpreter "$PYTHON") ||
  refuse "the input \`python\` is \`$PYTHON\`, which is no command, interpreter or folder of a virtual environment here"
# Each line of the file below sets an output.
[[ "$python" != *$'\n'* ]] || refuse "the input \`python\` leads to a path of several lines"
"$python" -I -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
  refuse "archcheck needs Python 3.11 or newer, and \`$PYTHON\` is none; give the input \`python\` another"

if [ "$INSTALL" = self ]; then
  requirements=("$here/../../..[training]")
else
  read -r -d '' -a requirements <<< "$INSTALL" || true
fi
if [ "${#requirements[@]}" -gt 0 ]; then
  # Packages may run code of theirs while they are built: it is not told of the files that steer later steps.
  env -u GITHUB_ENV -u GITHUB_OUTPUT -u GITHUB_PATH -u GITHUB_STATE -u GITHUB_STEP_SUMMARY \
    "$python" -E -P -m pip install --quiet --disable-pip-version-check "${requirements[@]}"
fi
"$python" -E -P -c 'import importlib.util, sys; sys.exit(importlib.util.find_spec("archcheck") is None)' ||
  refuse "archcheck is not installed for \`$PYTHON\` (PYTHONPATH does not count): let the input \`install\` do it"
echo "python=$python" >> "$GITHUB_OUTPUT"
