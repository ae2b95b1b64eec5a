#!/usr/bin/env bash
# Fetch NiiVue anew in its pinned version, and the licences of all that its bundle holds. Needs npm.
set -euo pipefail
cd "$(dirname "$0")"
bundle="@niivue/niivue@0.69.0"
sha256="47b896b77ec4a5be3ef1949c33ad393b6f45629921f326c279000bcf51bdb4af"
# Version 0.69.0 comes without a file of its licence; 0.38.8 has the one of the repository.
licences="@niivue/niivue@0.38.8 gl-matrix@3.4.4 nifti-reader-js@0.8.0 fflate@0.8.3 zarrita@0.5.4 @zarrita/storage@0.1.4
numcodecs@0.3.2 @ungap/structured-clone@1.2.1 @lukeed/uuid@2.0.1 array-equal@1.0.2"

folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
unpack() {  # a package into the folder "package"
    rm -rf "$folder/package" "$folder"/*.tgz
    npm pack --silent --pack-destination "$folder" "$1" > /dev/null
    mkdir "$folder/package"
    tar -xzf "$folder"/*.tgz -C "$folder/package" --strip-components 1
}

unpack "$bundle"
echo "$sha256  $folder/package/dist/niivue.umd.js" | sha256sum --check --quiet
cp "$folder/package/dist/niivue.umd.js" .
for package in $licences; do
    unpack "$package"
    printf '%s\n\n' "${package%@*}"
    find "$folder/package" -maxdepth 1 -iname 'licen[cs]e*' -exec cat {} +
    printf '\n%s\n\n' "--------"
done | tr -d '\r' | sed -e 's/[[:space:]]*$//' > LICENSE
