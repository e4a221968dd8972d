# Sourced by ci/run: builds the kernels and each program of tests/c in several ways, and runs the programs.
# Each way is a C compiler with its flags, and what to run the program under.

# c_tests RUNNER COMPILER...: RUNNER is one word list, empty to run the programs as they are.
c_tests() {
    local runner=$1 out source program
    shift
    out=$(mktemp -d -p "$scratch")
    local compiler=("$@" -Wall -Wextra -Werror -g "-I$PWD/secagg/include" "-I$PWD/csrc")
    find "$PWD/csrc" -name "*.c" | (cd "$out" && xargs -P "$(nproc)" -n 1 "${compiler[@]}" -c)
    for source in tests/c/test_*.c; do
        program=$out/$(basename "$source" .c)
        "${compiler[@]}" "$source" "$out"/*.o -o "$program"
        echo "$source"
        $runner "$program"
    done
}

sanitized_tests() {
    c_tests '' gcc -O1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
}

# With the flags of the real build (setup.py's -O2 after Python's own), since an optimiser may add branches.
# valgrind hides VAES from the program, so it sees the portable kernels and AES-NI.
constant_time_tests() {
    local flags
    flags=$(python3 -c 'import sysconfig; print(*sysconfig.get_config_vars("CFLAGS", "CCSHARED"))')
    # shellcheck disable=SC2086
    c_tests 'valgrind -q --error-exitcode=1' gcc $flags -O2 -DSECAGG_CT_VALGRIND
}

aarch64_tests() {
    c_tests qemu-aarch64 aarch64-linux-gnu-gcc -O2 -static
}
