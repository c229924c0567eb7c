#!/bin/sh
# Lint the JavaScript with oxlint, one npm package in .venv; without npm, say so and pass.
version=1.94.0
folder=.venv/oxlint-$version
oxlint=$folder/node_modules/.bin/oxlint

skip() {
	echo "The JavaScript lint is skipped: $1."
	exit 0
}

command -v node >/dev/null && command -v npm >/dev/null || skip "node and npm are not installed"
if [ ! -x "$oxlint" ]; then
	mkdir -p "$folder"
	npm install --prefix "$folder" --no-save --ignore-scripts "oxlint@$version" >/dev/null 2>&1 ||
		skip "npm cannot install oxlint $version"
fi
"$oxlint" --version >/dev/null 2>&1 || skip "oxlint $version does not run on node $(node --version)"
exec "$oxlint" --format unix -c .oxlintrc.json vital_lib
