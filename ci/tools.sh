# Sourced by ci/run: the tools that it takes from the system, by the names of Debian's packages.

die() {
    printf 'ci/run: %s\n' "$*" >&2
    exit 1
}

works() { "$@" >/dev/null 2>&1; }

links() { "$@" -x c - -o /dev/null <<<'int main(void) { return 0; }'; }

missing_packages() {
    works command -v git || echo git
    works links gcc -fsanitize=address,undefined || echo gcc libc6-dev
    works valgrind true && works links gcc -include valgrind/memcheck.h || echo valgrind libc6-dbg
    works links aarch64-linux-gnu-gcc -static || echo gcc-aarch64-linux-gnu libc6-dev-arm64-cross
    works command -v qemu-aarch64 || echo qemu-user
    works postgres_program postgres || echo postgresql
    works python3 -c 'import ensurepip, venv' || echo python3 python3-venv
    works python3 -c 'import os, sysconfig; os.stat(sysconfig.get_path("include") + "/Python.h")' || echo python3-dev
}

install_packages() {
    local as_root=()
    works command -v apt-get || die "please install $*"
    if ((EUID)); then
        works sudo -n true || die "please install $* (neither root nor able to become it)"
        as_root=(sudo -n)
    fi
    "${as_root[@]}" apt-get update -q
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$@"
}

install_missing_tools() {
    local missing
    missing=$(missing_packages)
    if [[ -n $missing ]]; then
        # shellcheck disable=SC2086
        install_packages $missing
        missing=$(missing_packages)
        [[ -z $missing ]] || die "still missing after installing:" $missing
    fi
    works python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || die 'python3 must be 3.11 or later'
    python3 --version
    gcc --version | head -n 1
    valgrind --version
    qemu-aarch64 --version | head -n 1
    "$(postgres_program postgres)" --version
}
