# Finds what is missing for a task and installs it from the distribution's packages. Sourced by ./dev, POSIX shell.

# What is needed | how to see that it is there | its packages: Debian and Ubuntu | Fedora | Alpine | Arch
# cmd:NAME a command; tool:NAME a command of LLVM, version 14 or any; hdr:NAME a C header; any:A:B one of these files; rt:NAME a file of
# clang's run-time library.
packages_table() {
    cat <<'END'
compiler|cmd:cc hdr:stdio.h|gcc libc6-dev|gcc glibc-devel|gcc musl-dev linux-headers|gcc
cmake|cmd:cmake|cmake|cmake|cmake|cmake
ninja|cmd:ninja|ninja-build|ninja-build|samurai|ninja
libdeflate|hdr:libdeflate.h|libdeflate-dev|libdeflate-devel|libdeflate-dev|libdeflate
xxhash|hdr:xxhash.h|libxxhash-dev|xxhash-devel|xxhash-dev|xxhash
lua|any:/usr/include/lua5.4/lua.h:/usr/include/lua-5.4/lua.h:/usr/include/lua.h|liblua5.4-dev|lua-devel lua-static|lua5.4-dev|lua
cmocka|hdr:cmocka.h|libcmocka-dev|libcmocka-devel|cmocka-dev|cmocka
bash|cmd:bash|bash|bash|bash|bash
jdk|cmd:javac|openjdk-17-jdk-headless|java-17-openjdk-devel|openjdk17-jdk|jdk17-openjdk
maven|cmd:mvn|maven|maven|maven|maven
go|cmd:go|golang-go|golang|go|go
ca|any:/etc/ssl/certs/ca-certificates.crt:/etc/pki/tls/certs/ca-bundle.crt|ca-certificates|ca-certificates|ca-certificates|ca-certificates
format|tool:clang-format|clang-format-14|clang-tools-extra|clang-extra-tools|clang
tidy|tool:clang-tidy|clang-tidy-14|clang-tools-extra|clang-extra-tools|clang
clang|tool:clang|clang-14|clang|clang|clang
fuzzer|rt:libclang_rt.fuzzer|libclang-rt-14-dev|compiler-rt|compiler-rt|compiler-rt
setarch|cmd:setarch|util-linux|util-linux|util-linux-misc|util-linux
END
}

# llvm_tool NAME: the command of version 14 where there is one; others may judge a little differently.
llvm_tool() { command -v "$1-14" || command -v "$1"; }

any_file() {
    for file in $(echo "$1" | tr ':' ' '); do [ ! -e "$file" ] || return 0; done
    return 1
}

has() {
    case $1 in
    cmd:*) command -v "${1#cmd:}" >/dev/null 2>&1 ;;
    hdr:*) echo "#include <${1#hdr:}>" | cc -E -xc - >/dev/null 2>&1 ;;
    tool:*) llvm_tool "${1#tool:}" >/dev/null ;;
    any:*) any_file "${1#any:}" ;;
    rt:*) ls /usr/lib/llvm-14/lib/clang/*/lib/linux/"${1#rt:}"* /usr/lib/clang/*/lib/*/"${1#rt:}"* >/dev/null 2>&1 ;;
    esac
}

# distribution: the column of the table, and how to install there.
distribution() {
    ids=$(. /etc/os-release 2>/dev/null && echo " ${ID-} ${ID_LIKE-} ")
    case $ids in
    *' debian '* | *' ubuntu '*) echo debian ;;
    *' fedora '* | *' rhel '*) echo fedora ;;
    *' alpine '*) echo alpine ;;
    *' arch '*) echo arch ;;
    *) echo unknown ;;
    esac
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null 2>&1; then
        sudo "$@"
    else
        say "this needs root, and there is no sudo: run as root: $*"
        return 1
    fi
}

install_packages() {
    case $(distribution) in
    debian)
        as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@" ||
            { as_root apt-get update -q && as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@"; }
        ;;
    fedora) as_root dnf install -y "$@" ;;
    alpine) as_root apk add "$@" ;;
    arch) as_root pacman -S --needed --noconfirm "$@" ;;
    *) return 1 ;;
    esac
}

# absent NAME...: prints what of it is not there.
absent() {
    for name; do
        for check in $(packages_table | grep "^$name|" | cut -d'|' -f2); do
            has "$check" || { echo "$name" && break; }
        done
    done
}

# need NAME...: installs the packages of what is not there. Ends the script when that does not help.
need() {
    missing=$(absent "$@")
    [ -n "$missing" ] || return 0
    case $(distribution) in
    fedora) column=4 ;;
    alpine) column=5 ;;
    arch) column=6 ;;
    *) column=3 ;;
    esac
    packages=$(for name in $missing; do packages_table | grep "^$name|" | cut -d'|' -f$column; done | tr '\n' ' ')
    missing=$(echo "$missing" | tr '\n' ' ')
    if [ "$(distribution)" = unknown ]; then
        die "missing: $missing- this distribution is not known here; the Debian packages are called: $packages"
    fi
    say "missing: $missing- installing the packages: $packages"
    # shellcheck disable=SC2086
    install_packages $packages || die "the packages could not be installed: $packages"
    hash -r
    missing=$(absent "$@" | tr '\n' ' ')
    [ -z "$missing" ] || die "still missing after the installation: $missing"
}
