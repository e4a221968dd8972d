# Sourced by ci/run: builds the kernels and each program of tests/c in several ways, and runs the programs.
# Each way is a C compiler with its flags, and what to run the program under.

# c_tests RUNNER COMPILER...: RUNNER is one word list, empty to run the programs as they are.
# DWARF 4, because valgrind 3.19 stops at what clang writes of DWARF 5.
c_tests() {
    local runner=$1 out source program
    shift
    out=$(mktemp -d -p "$scratch")
    local compiler=("$@" -Wall -Wextra -Werror -gdwarf-4 "-I$PWD/secagg/include" "-I$PWD/csrc")
    find "$PWD/csrc" -name '*.c' | (cd "$out" && xargs -P "$(nproc)" -n 1 "${compiler[@]}" -c)
    for source in tests/c/test_*.c; do
        program=$out/$(basename "$source" .c)
        "${compiler[@]}" "$source" "$out"/*.o -o "$program"
        echo "$source"
        $runner "$program"
    done
}

# sanitized_tests COMPILER...
# clang wants -O0: its optimiser takes up to minutes over what the undefined-behaviour sanitizer puts into each of the
# unrolled AES loops.
sanitized_tests() {
    c_tests '' "$@" -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
}

# constant_time_tests COMPILER OPTIMISATION: with Python's own flags before, as in the real build (setup.py's is -O2),
# since an optimiser may add branches.  Those flags are gcc's, and clang may warn that it does not know some.
# valgrind hides VAES from the program, so it sees the portable kernels and AES-NI.
constant_time_tests() {
    local flags
    flags=$(python3 -c 'import sysconfig; print(*sysconfig.get_config_vars("CFLAGS", "CCSHARED"))')
    # shellcheck disable=SC2086
    c_tests 'valgrind -q --error-exitcode=1' "$1" $flags "$2" -DSECAGG_CT_VALGRIND \
        -Wno-ignored-optimization-argument -Wno-unknown-warning-option
}

aarch64_tests() {
    c_tests qemu-aarch64 aarch64-linux-gnu-gcc -O2 -static
}
