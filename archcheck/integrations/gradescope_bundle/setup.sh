#!/usr/bin/env bash
# Installs what grading needs. Gradescope runs it once, as root, when it builds the image of the assignment.
# The image may have an older Python, so uv brings its own; torch is the build without GPU support, which is small.
set -euo pipefail
root=${AUTOGRADER_ROOT:-/autograder}
# Not in the home of root, which the user that grades cannot read.
export UV_PYTHON_INSTALL_DIR=$root/interpreters
export PIP_BREAK_SYSTEM_PACKAGES=1 PIP_ROOT_USER_ACTION=ignore

if ! python3 -m pip --version > /dev/null 2>&1; then
  apt-get update
  apt-get install --yes --no-install-recommends python3-pip
fi
python3 -m pip install --quiet "uv==@UV@"
python3 -m uv venv --python "@PYTHON@" "$root/python"

# A wheel of archcheck in this bundle comes before the published one.
package="@PACKAGE@"
for wheel in "$root"/source/archcheck_torch-*.whl; do
  if [ -f "$wheel" ]; then package=$wheel; fi
done
python3 -m uv pip install --no-cache --python "$root/python/bin/python" --torch-backend cpu "@TORCH@" "$package"
mkdir -p "$UV_PYTHON_INSTALL_DIR" # not there when the Python of the image is of that release
chmod -R a+rX "$root/python" "$UV_PYTHON_INSTALL_DIR"
