#!/bin/sh
# Says which Debian packages are missing before anything is built. Usage: check_tools.sh PYTHON
python=$1
missing=""
have() { "$python" -c "$1" 2>/dev/null; }

if ! have 'import sys; assert sys.version_info >= (3, 11)'; then
  echo "shoal needs Python 3.11 or newer; '$python' is not. Name another: make PYTHON=/path/to/python3 ..." >&2
  exit 1
fi
have 'import ensurepip, venv' || missing="$missing python3-venv"
have 'import os, sysconfig; assert os.path.exists(sysconfig.get_path("include") + "/Python.h")' ||
  missing="$missing python3-dev"
command -v "${CXX:-c++}" >/dev/null || missing="$missing g++"

if [ -n "$missing" ]; then
  echo "Missing to build shoal:$missing. On Debian and Ubuntu: sudo apt install$missing" >&2
  exit 1
fi
