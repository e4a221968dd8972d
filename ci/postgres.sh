# shellcheck shell=bash
# Sourced by ci/run and by hand: a PostgreSQL of our own for the tests, gone without a trace once it is stopped.  It
# listens on a socket in its folder and nowhere else; whoever gets there is trusted.
#
# By hand:
#   folder=$(mktemp -d) && source ci/postgres.sh && start_postgres "$folder"    # sets SECAGG_TEST_POSTGRES
#   .venv-test/bin/python -m pytest tests
#   stop_postgres "$folder" && rm -r "$folder"

postgres_program() {
    local found
    found=$(compgen -G "/usr/lib/postgresql/*/bin/$1" | sort -V | tail -n 1)
    if [[ -n $found ]]; then echo "$found"; else command -v "$1"; fi
}

# PostgreSQL does not run as root: then it runs as the user that the package has made.
as_postgres() {
    if ((EUID)); then "$@"; else runuser -u postgres -- "$@"; fi
}

start_postgres() {
    local folder=$1 cluster=$1/postgres
    install -d -m 700 "$cluster"
    if ((EUID == 0)); then
        chmod 711 "$folder"
        chown postgres "$cluster"
    fi
    as_postgres "$(postgres_program initdb)" --pgdata="$cluster/data" --username=postgres --auth=trust --no-sync \
        --encoding=UTF8 --locale=C >"$folder/postgres.log"
    run_postgres "$@"
    export SECAGG_TEST_POSTGRES="postgresql+psycopg://postgres@/postgres?host=$cluster"
}

# Nothing in it outlives a crash of the machine, and needs not to, unless "-c fsync=on" follows the folder.
run_postgres() {
    local cluster=$1/postgres
    as_postgres "$(postgres_program pg_ctl)" start --pgdata="$cluster/data" --wait --silent --log="$cluster/log" \
        --options="-c listen_addresses= -c unix_socket_directories=$cluster -c fsync=off -c max_connections=200 ${*:2}"
}

stop_postgres() {
    if [[ -e $1/postgres/data/postmaster.pid ]]; then
        as_postgres "$(postgres_program pg_ctl)" stop --pgdata="$1/postgres/data" --mode=immediate --silent
    fi
}
