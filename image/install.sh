#!/bin/sh
# Install the program and what it needs into a folder of its own: a virtual environment without pip.
#
# install.sh PYTHON FOLDER WHEEL    (PYTHON must have pip; the working directory requirements.txt)
#
# Exists because both flavours of the image are made by it, and a test that has no container engine
# runs what it made. Nothing is compiled and nothing is taken whose hash is not in requirements.txt.
set -eu
python=$1 folder=$2 wheel=$3

"$python" -m venv --without-pip "$folder"
pip() { "$python" -m pip --disable-pip-version-check --python "$folder/bin/python" "$@"; }
pip install --quiet --no-compile --only-binary :all: --require-hashes --requirement requirements.txt
pip install --quiet --no-compile --no-deps "$wheel"
rm -rf "$folder"/include "$folder"/bin/[Aa]ctivate*

# Of two libraries that describe every API there is, what nobody here asks for: 40 MB. cluster/access.py
# stands in for the one; bucket/s3.py opens a client for S3, whose credentials may come by STS or SSO.
site=$("$folder/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
rm -rf "$site"/kubernetes_asyncio/client/api "$site"/kubernetes_asyncio/client/models
find "$site/botocore/data" -mindepth 1 -maxdepth 1 -type d \
    ! -name s3 ! -name sts ! -name sso ! -name sso-oidc ! -name signin -exec rm -rf {} +

# The files never change, so their times need not be looked at.
"$folder/bin/python" -m compileall -q --invalidation-mode unchecked-hash "$site"
