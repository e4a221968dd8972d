# shellcheck shell=bash disable=SC2016,SC2154  # scripts for bash -c are quoted; scratch is that of whoever sources this
# Sourced by ci/run and ci/slow: builds the kernels and each program of tests/c in several ways, and runs the programs.
# Each way is a C compiler with its flags, and what to run the program under.

# build_c_tests FOLDER COMPILER...: leaves the kernels' objects there, and the programs by their names.
# DWARF 4, because valgrind 3.19 stops at what clang writes of DWARF 5; of lines alone, because following each variable
# through the kernels' unrolled loops is what gcc would take most of its time for.
build_c_tests() {
    local out=$1
    shift
    local compiler=("$@" -Wall -Wextra -Werror -gdwarf-4 -g1 "-I$PWD/secagg/include" "-I$PWD/csrc")
    find "$PWD/csrc" -name '*.c' | (cd "$out" && xargs -P "$(nproc)" -n 1 "${compiler[@]}" -c)
    local link='exec "${@:3}" "$1" "$2"/*.o -o "$2/$(basename "$1" .c)"'
    each_c_test bash -c "$link" _ {} "$out" "${compiler[@]}"
}

# each_c_test COMMAND...: for each program, as many at a time as there are CPUs; {} stands for the program's source.
each_c_test() { printf '%s\0' tests/c/test_*.c | xargs -0 -P "$(nproc)" -I {} "$@"; }

# run_c_tests FOLDER RUNNER...: no runner to run the programs as they are.
run_c_tests() {
    local out=$1
    shift
    # What a program says is printed once it has ended, since others run beside it.
    local run='said=$("${@:3}" "$2/$(basename "$1" .c)" 2>&1); code=$?; printf "%s\n" "$1" "$said"; exit "$code"'
    each_c_test bash -c "$run" _ {} "$out" "$@"
}

# c_tests RUNNER COMPILER...: RUNNER is one word list, empty to run the programs as they are.
c_tests() {
    local runner=$1 out
    shift
    out=$(mktemp -d -p "$scratch")
    build_c_tests "$out" "$@"
    # shellcheck disable=SC2086
    run_c_tests "$out" $runner
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

# aarch64_tests COMPILER...
# What the CPU has decides which rows there are: qemu's `max` has all, its Cortex-A72 no SHA-3 instructions.  It has no
# CPU without AES ones, so no_extensions.c denies them.
aarch64_tests() {
    local out compiler=("$@" -static)
    out=$(mktemp -d -p "$scratch")
    build_c_tests "$out" "${compiler[@]}"
    "${compiler[@]}" -Wl,--wrap=getauxval -Isecagg/include -Icsrc tests/c/{test_isa,no_extensions}.c "$out"/*.o \
        -o "$out/bare_isa"
    qemu-aarch64 -cpu max "$out/test_isa" portable neon armv8 sha3
    qemu-aarch64 -cpu cortex-a72 "$out/test_isa" portable neon armv8
    qemu-aarch64 -cpu max "$out/bare_isa" portable neon
    run_c_tests "$out" qemu-aarch64 -cpu max
    python3 ci/count_aes.py csrc/mask/mask_armv8.c "${compiler[@]}"
}
