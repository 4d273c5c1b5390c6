/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * ELF files that nobody vouches for. Everything is read with pread() and checked against the file's
 * size: a file that is cut short while it is read gives an error, where a mapped one would give
 * SIGBUS.
 */
#ifndef HOPSCOPE_SYM_ELF_FILE_H
#define HOPSCOPE_SYM_ELF_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ELF_BUILD_ID_MAX 64

struct elf_segment {
	uint32_t type, flags;
	uint64_t offset, vaddr, filesz, memsz;
};

struct elf_section {
	uint32_t name, type;
	uint64_t flags, addr, offset, size, entsize;
	uint32_t link, info;
};

/* A symbol as it stands in the file. */
struct elf_sym {
	uint64_t value, size;
	uint32_t name; /* in the string table */
	uint16_t shndx;
	uint8_t type, bind;
};

struct elf_file {
	int fd; /* not owned */
	bool is64;
	uint16_t type, machine;
	uint64_t size, entry;
	struct elf_segment *seg;
	size_t n_seg;
	struct elf_section *sec;
	size_t n_sec;
	uint32_t shstrndx;
};

/* -ENOEXEC: not an ELF file of this machine's byte order. The fd has to outlive *f. */
int elf_file__open(struct elf_file *f, int fd);
void elf_file__close(struct elf_file *f);

/* All n bytes, or -ENODATA (beyond the end), or what pread() gave. */
int elf_file__read(const struct elf_file *f, uint64_t offset, void *buf, size_t n);

/* A string of the table; cut at size - 1. False: there is none, or it is empty. */
bool elf_file__string(const struct elf_file *f, const struct elf_section *table, uint64_t at,
		      char *buf, size_t size);

const struct elf_section *elf_file__section(const struct elf_file *f, const char *name);
const struct elf_section *elf_file__section_of_type(const struct elf_file *f, uint32_t type);
/* The section whose addresses hold this one, NULL: none. */
const struct elf_section *elf_file__section_at(const struct elf_file *f, uint64_t vaddr);

/* The whole section, inflated where it is compressed; *out is the caller's to free. -EFBIG: > max.
 */
int elf_file__contents(const struct elf_file *f, const struct elf_section *s, size_t max,
		       uint8_t **out, size_t *n);

/* Is its code this machine's, of an architecture whose calls the probes know? */
bool elf_file__is_probed(const struct elf_file *f);

/* n symbols from the i-th on; table is SHT_SYMTAB or SHT_DYNSYM. */
uint64_t elf_file__sym_count(const struct elf_file *f, const struct elf_section *table);
int elf_file__syms(const struct elf_file *f, const struct elf_section *table, uint64_t i,
		   struct elf_sym *out, size_t n);

/* Between offsets in the file and the addresses it is linked at. Executable segments first. */
bool elf_file__vaddr(const struct elf_file *f, uint64_t offset, uint64_t *vaddr);
bool elf_file__offset(const struct elf_file *f, uint64_t vaddr, uint64_t *offset);

/* An entry of the dynamic section or segment; offset is in the file. False: it ends there. */
bool elf_file__dynamic(const struct elf_file *f, uint64_t offset, int64_t *tag, uint64_t *value);

/* Bytes written to id; 0: the file has none. */
size_t elf_file__build_id(const struct elf_file *f, uint8_t id[ELF_BUILD_ID_MAX]);

/* Has Go's function table or its build id: no return probes in there. */
bool elf_file__is_go(const struct elf_file *f);
/* Needs no dynamic linker, and no library. */
bool elf_file__is_static(const struct elf_file *f);

#endif
