# shellcheck shell=bash
# Sourced by ci/run, ci/slow, ci/docs and ci/wheels: the tools that they take from the system, by the names of Debian's packages.

unset PYTHONDONTWRITEBYTECODE # or each of a thousand processes would compile the package anew, for seconds

die() {
    printf '%s: %s\n' "$0" "$*" >&2
    exit 1
}

works() { "$@" >/dev/null 2>&1; }

links() { "$@" -x c - -o /dev/null <<<'int main(void) { return 0; }'; }

# Debian's package clang brings `clang`; without it there may be a `clang-14` of a package with that name.
clang_command() {
    if works command -v clang; then
        echo clang
    else
        compgen -c clang- | grep -x 'clang-[0-9]*' | sort -V | tail -n 1
    fi
}

# Debian keeps the sanitizers' runtime in a package of its own, named after clang's version.
missing_clang_packages() {
    local clang
    clang=$(clang_command)
    if [[ -z $clang ]]; then
        echo clang
    elif ! works links "$clang" -fsanitize=address,undefined; then
        echo "libclang-rt-$("$clang" -dumpversion | cut -d. -f1)-dev"
    fi
}

# Debian's chromium, which ci/docs looks at the site with.
missing_browser() { works command -v chromium || echo chromium; }

missing_packages() {
    works command -v git || echo git
    works links gcc -fsanitize=address,undefined || echo gcc libc6-dev
    missing_clang_packages
    works valgrind true && works links gcc -include valgrind/memcheck.h || echo valgrind libc6-dbg
    works links aarch64-linux-gnu-gcc -static || echo gcc-aarch64-linux-gnu libc6-dev-arm64-cross
    works command -v qemu-aarch64 || echo qemu-user
    works command -v pkg-config || echo pkg-config
    missing_browser
    works postgres_program postgres || echo postgresql
    works command -v nginx || works test -x /usr/sbin/nginx || echo nginx
    works compgen -G '/usr/lib/*/faketime/libfaketimeMT.so.1' || echo libfaketime
    works python3 -c 'import ensurepip, venv' || echo python3 python3-venv
    works python3 -c 'import os, sysconfig; os.stat(sysconfig.get_path("include") + "/Python.h")' || echo python3-dev
}

# What this package and some of its extras need, as pip takes it.
requirements() {
    python3 -c '
import re, sys, tomllib
project = tomllib.load(open("pyproject.toml", "rb"))["project"]
wanted, found = sys.argv[1:], dict.fromkeys(project["dependencies"])
for extra in wanted:
    for each in project["optional-dependencies"][extra]:
        own = re.fullmatch(r"secagg\[(.*)\]", each)
        wanted += own[1].split(",") if own else []
        found |= {} if own else {each: None}
print(*found, sep="\n")' "$@"
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

# Twice, since clang tells which runtime it wants when it is there.
install_missing_tools() {
    local missing
    for _ in 1 2; do
        missing=$(missing_packages)
        # shellcheck disable=SC2086
        [[ -z $missing ]] || install_packages $missing
    done
    missing=$(missing_packages)
    [[ -z $missing ]] || die "still missing after installing: $missing"
    works python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || die 'python3 must be 3.11 or later'
    python3 --version
    gcc --version | head -n 1
    "$(clang_command)" --version | head -n 1
    valgrind --version
    qemu-aarch64 --version | head -n 1
    "$(postgres_program postgres)" --version
}
