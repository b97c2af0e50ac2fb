# How the scripts configure, build and test; sourced by them.
# Every build lives in .build/<name>; the counts of every ctest run go to .build/results/<name>.xml.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
jobs=${COPSE_JOBS:-$(nproc)}
test_jobs=${COPSE_TEST_JOBS:-2}
cd "$root"

# Objects of different builds with the same flags are the same object.
export CCACHE_BASEDIR=$root CCACHE_NOHASHDIR=1

die() {
    echo "${0##*/}: $*" >&2
    exit 1
}

# configure <name> <cmake arguments...>
configure() {
    local name=$1
    shift
    local launcher=()
    command -v ccache >/dev/null && launcher=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache)
    cmake -S "$root" -B "$root/.build/$name" -G Ninja --log-level=NOTICE "${launcher[@]}" "$@" \
        || die "configuring .build/$name failed"
}

# build <name> [target...]
build() {
    local name=$1
    shift
    local targets=()
    (($#)) && targets=(--target "$@")
    cmake --build "$root/.build/$name" -j "$jobs" "${targets[@]}" -- --quiet || die "building .build/$name failed"
}

# run_tests <name> <ctest arguments...>
run_tests() {
    local name=$1
    shift
    mkdir -p "$root/.build/results"
    rm -f "$root/.build/results/$name.xml"
    ctest --test-dir "$root/.build/$name" -j "$test_jobs" --output-on-failure --no-tests=error \
        --output-junit "$root/.build/results/$name.xml" "$@"
}

# The build that users get, and that demo, test, consumer and valgrind share.
configure_release() {
    configure release -DCMAKE_CXX_COMPILER=g++ -DCOPSE_WERROR=ON "$@"
}
