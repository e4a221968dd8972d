# shellcheck shell=bash
# Sourced by ci/wheels and ci/slow: other Pythons, of Debian's packages, unpacked into a folder and run by their own
# loader.  Nothing is installed on this machine, and nothing of it is used, so that a Python may be newer or for another
# processor.

# unpack_python FOLDER SUITE ARCHITECTURE VERSION: fails where the suite or its Python cannot be had.
unpack_python() {
    local folder=$1 suite=$2 architecture=$3 version=$4 deb
    mkdir -p "$folder"/{state/lists/partial,cache/archives/partial,parts,root}
    : >"$folder/status" # nothing is installed: so all that Python needs is fetched, libc included
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian $suite main" \
        >"$folder/sources.list"
    local apt=(apt-get -qq -o Dir::Etc::SourceList="$folder/sources.list" -o Dir::Etc::SourceParts="$folder/parts"
        -o Dir::Etc::PreferencesParts="$folder/parts" -o Dir::State="$folder/state" -o Dir::Cache="$folder/cache"
        -o Dir::State::status="$folder/status" -o APT::Architecture="$architecture" -o APT::Sandbox::User=
        -o APT::Architectures::="$architecture" -o Acquire::Languages=none)
    "${apt[@]}" update && "${apt[@]}" install --yes --download-only --no-install-recommends \
        "python$version-minimal" "libpython$version-stdlib" libstdc++6 || return
    for deb in "$folder"/cache/archives/*.deb; do dpkg-deb --extract "$deb" "$folder/root"; done
    rm -r "$folder/cache"
}

# give_packages PIP FOLDER ARCHITECTURE VERSION PACKAGE...: in FOLDER/site, as wheels, with what they need.
give_packages() {
    local pip=$1 folder=$2 machine=x86_64 version=$4
    [[ $3 != arm64 ]] || machine=aarch64
    # The platforms of manylinux are steps of glibc: a package may be built for any of them.
    "$pip" install -q --target "$folder/site" --only-binary :all: --python-version "$version" \
        --platform "manylinux_2_28_$machine" --platform "manylinux2014_$machine" "${@:5}"
}

# run_python FOLDER VERSION ARGUMENT...: with the packages in FOLDER/site; by the emulator in $emulator if that is set.
run_python() {
    local folder=$1 root=$1/root version=$2 loader libraries
    shift 2
    loader=$(find "$root" -name 'ld-linux-*.so.*' | head -n 1)
    libraries=$(find "$root" -name 'lib*.so.*' -printf '%h\n' | sort -u | paste -sd:)
    # shellcheck disable=SC2086
    PYTHONHOME=$root/usr PYTHONPATH=$folder/site \
        ${emulator:-} "$loader" --library-path "$libraries" "$root/usr/bin/python$version" "$@"
}
