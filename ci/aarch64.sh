# shellcheck shell=bash
# Sourced by ci/slow: a Python for aarch64, and this package for it, in a folder; qemu runs them.  Python and the
# libraries that it needs are Debian's packages, unpacked and never installed; all else are wheels.

# aarch64_python FOLDER PACKAGE...: in FOLDER a `root` and `site`, PACKAGEs among them.
aarch64_python() {
    local folder=$1 python
    shift
    python=python$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    mkdir -p "$folder"/{root,state/lists/partial,cache/archives/partial}
    : >"$folder/state/status"
    cat >"$folder/apt.conf" <<CONF
APT::Architecture "arm64";
APT::Architectures { "arm64"; };
Dir::State "$folder/state";
Dir::State::status "$folder/state/status";
Dir::Cache "$folder/cache";
CONF
    APT_CONFIG=$folder/apt.conf apt-get update -q
    APT_CONFIG=$folder/apt.conf apt-get install -qq -y --no-install-recommends --download-only \
        "$python" "lib$python-dev" libstdc++6
    find "$folder/cache" -name '*.deb' -exec dpkg-deb -x {} "$folder/root" \;
    python3 -m venv "$folder/tools"
    "$folder/tools/bin/pip" install -q 'cython>=3.1'
    "$folder/tools/bin/pip" install -q --target "$folder/site" --only-binary=:all: --python-version "${python#python}" \
        --platform manylinux_2_28_aarch64 --platform manylinux2014_aarch64 "$@"
    ln -s "root/usr/bin/$python" "$folder/python"
}

# aarch64_kernels FOLDER: compiles both modules of the package in this folder.
aarch64_kernels() {
    local folder=$1 include module suffix sources
    include=$(echo "$folder"/root/usr/include/python3.*)
    suffix=$(aarch64 "$folder" -c 'import sysconfig; print(sysconfig.get_config_var("EXT_SUFFIX"))')
    for module in _kernels _vdaf; do
        "$folder/tools/bin/cython" "secagg/$module.pyx" -o "$folder/$module.c"
        mapfile -t sources < <(find csrc -name '*.c' | if [[ $module == _vdaf ]]; then grep vdaf/; else grep -v vdaf/; fi)
        aarch64-linux-gnu-gcc -O2 -w -shared -fPIC -Isecagg/include -Icsrc "-I$include" -idirafter "${include%/*}" \
            "$folder/$module.c" "${sources[@]}" -o "secagg/$module$suffix"
    done
}

# aarch64 FOLDER ARGUMENT...: that Python.
aarch64() {
    PYTHONPATH=$PWD:$1/site qemu-aarch64 -L "$1/root" "$1/python" "${@:2}"
}
