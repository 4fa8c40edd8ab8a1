#!/bin/sh
# Builds stub.bin, which is kept in the repository, since people who build images have no compiler, and stub.sum, by which a
# test knows that stub.bin is made of these sources.
set -eu
cd "$(dirname "$0")"
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
gcc -m64 -O2 -fno-tree-vectorize -fpie -ffreestanding -fno-stack-protector -fno-asynchronous-unwind-tables -fcf-protection=none \
	-fno-builtin -fno-jump-tables -mgeneral-regs-only -mno-red-zone -fno-strict-aliasing -Wall -Wextra -Werror -c unpack.c -o "$tmp/unpack.o"
gcc -m64 -c start.S -o "$tmp/start.o"
ld -m elf_x86_64 -T stub.ld --no-dynamic-linker -o "$tmp/stub.elf" "$tmp/start.o" "$tmp/unpack.o"
objcopy -O binary "$tmp/stub.elf" stub.bin
chmod 644 stub.bin
sha256sum start.S unpack.c stub.ld stub.bin >stub.sum
