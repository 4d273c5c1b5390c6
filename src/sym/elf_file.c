/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Headers, sections and symbols of ELF files, both classes, in this machine's byte order. */
#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "sym/elf_file.h"

#define SEGMENTS_MAX 4096
#define SECTIONS_MAX 65536
#define NOTES_MAX    (1u << 20)

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define BYTE_ORDER_HERE ELFDATA2LSB
#else
#define BYTE_ORDER_HERE ELFDATA2MSB
#endif

int elf_file__read(const struct elf_file *f, uint64_t offset, void *buf, size_t n)
{
	size_t done = 0;

	if (offset > f->size || n > f->size - offset)
		return -ENODATA;
	while (done < n) {
		ssize_t got = pread(f->fd, (char *)buf + done, n - done, (off_t)(offset + done));

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return got ? -errno : -ENODATA;
		done += (size_t)got;
	}
	return 0;
}

/* Copies the fields that both classes have under the same names. */
#define TAKE_SEGMENT(to, from)                   \
	do {                                     \
		(to)->type = (from)->p_type;     \
		(to)->flags = (from)->p_flags;   \
		(to)->offset = (from)->p_offset; \
		(to)->vaddr = (from)->p_vaddr;   \
		(to)->filesz = (from)->p_filesz; \
		(to)->memsz = (from)->p_memsz;   \
	} while (0)

#define TAKE_SECTION(to, from)                      \
	do {                                        \
		(to)->name = (from)->sh_name;       \
		(to)->type = (from)->sh_type;       \
		(to)->flags = (from)->sh_flags;     \
		(to)->addr = (from)->sh_addr;       \
		(to)->offset = (from)->sh_offset;   \
		(to)->size = (from)->sh_size;       \
		(to)->entsize = (from)->sh_entsize; \
		(to)->link = (from)->sh_link;       \
		(to)->info = (from)->sh_info;       \
	} while (0)

static int read_table(const struct elf_file *f, uint64_t offset, size_t n, size_t size, void **out)
{
	int err;

	*out = calloc(n, size);
	if (!*out)
		return -ENOMEM;
	err = elf_file__read(f, offset, *out, n * size);
	if (err) {
		free(*out);
		*out = NULL;
	}
	return err;
}

static int read_segments(struct elf_file *f, uint64_t offset, size_t n)
{
	void *raw;
	int err;

	if (!n)
		return 0;
	if (n > SEGMENTS_MAX)
		return -ENOEXEC;
	err = read_table(f, offset, n, f->is64 ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr), &raw);
	if (err)
		return err;
	f->seg = calloc(n, sizeof(*f->seg));
	for (size_t i = 0; f->seg && i < n; i++) {
		if (f->is64)
			TAKE_SEGMENT(&f->seg[i], &((Elf64_Phdr *)raw)[i]);
		else
			TAKE_SEGMENT(&f->seg[i], &((Elf32_Phdr *)raw)[i]);
	}
	free(raw);
	f->n_seg = f->seg ? n : 0;
	return f->seg ? 0 : -ENOMEM;
}

static int read_sections(struct elf_file *f, uint64_t offset, size_t n)
{
	void *raw;
	int err;

	err = read_table(f, offset, n, f->is64 ? sizeof(Elf64_Shdr) : sizeof(Elf32_Shdr), &raw);
	if (err)
		return err;
	f->sec = calloc(n, sizeof(*f->sec));
	for (size_t i = 0; f->sec && i < n; i++) {
		if (f->is64)
			TAKE_SECTION(&f->sec[i], &((Elf64_Shdr *)raw)[i]);
		else
			TAKE_SECTION(&f->sec[i], &((Elf32_Shdr *)raw)[i]);
	}
	free(raw);
	f->n_sec = f->sec ? n : 0;
	return f->sec ? 0 : -ENOMEM;
}

/* More than 0xff00 sections: their number and the names' index stand in section 0. */
static int read_first_section(struct elf_file *f, uint64_t offset, uint64_t *n)
{
	int err = read_sections(f, offset, 1);

	if (err)
		return err;
	if (!*n)
		*n = f->sec[0].size;
	if (f->shstrndx == SHN_XINDEX)
		f->shstrndx = f->sec[0].link;
	free(f->sec);
	f->sec = NULL;
	f->n_sec = 0;
	return 0;
}

/* A file without readable sections still has its segments. */
static int read_headers(struct elf_file *f, uint64_t phoff, size_t phnum, uint64_t shoff,
			uint64_t shnum)
{
	int err = read_segments(f, phoff, phnum);

	if (err || !shoff)
		return err;
	if (!shnum || f->shstrndx == SHN_XINDEX)
		err = read_first_section(f, shoff, &shnum);
	if (!err && shnum && shnum <= SECTIONS_MAX)
		err = read_sections(f, shoff, (size_t)shnum);
	return err == -ENOMEM ? err : 0;
}

int elf_file__open(struct elf_file *f, int fd)
{
	union {
		unsigned char ident[EI_NIDENT];
		Elf32_Ehdr h32;
		Elf64_Ehdr h64;
	} h;
	struct stat st;
	int err;

	memset(f, 0, sizeof(*f));
	f->fd = fd;
	if (fstat(fd, &st))
		return -errno;
	f->size = st.st_size > 0 ? (uint64_t)st.st_size : 0;
	memset(&h, 0, sizeof(h));
	if (elf_file__read(f, 0, h.ident, sizeof(h.ident)) ||
	    memcmp(h.ident, ELFMAG, SELFMAG) != 0 || h.ident[EI_DATA] != BYTE_ORDER_HERE ||
	    (h.ident[EI_CLASS] != ELFCLASS64 && h.ident[EI_CLASS] != ELFCLASS32))
		return -ENOEXEC;
	f->is64 = h.ident[EI_CLASS] == ELFCLASS64;
	if (elf_file__read(f, 0, &h, f->is64 ? sizeof(h.h64) : sizeof(h.h32)))
		return -ENOEXEC;
	if (f->is64) {
		f->type = h.h64.e_type;
		f->machine = h.h64.e_machine;
		f->entry = h.h64.e_entry;
		f->shstrndx = h.h64.e_shstrndx;
		err = read_headers(f, h.h64.e_phoff, h.h64.e_phnum, h.h64.e_shoff, h.h64.e_shnum);
	} else {
		f->type = h.h32.e_type;
		f->machine = h.h32.e_machine;
		f->entry = h.h32.e_entry;
		f->shstrndx = h.h32.e_shstrndx;
		err = read_headers(f, h.h32.e_phoff, h.h32.e_phnum, h.h32.e_shoff, h.h32.e_shnum);
	}
	if (err)
		elf_file__close(f);
	return err == -ENODATA ? -ENOEXEC : err;
}

void elf_file__close(struct elf_file *f)
{
	free(f->seg);
	free(f->sec);
	f->seg = NULL;
	f->sec = NULL;
	f->n_seg = f->n_sec = 0;
}

bool elf_file__string(const struct elf_file *f, const struct elf_section *table, uint64_t at,
		      char *buf, size_t size)
{
	uint64_t left;

	buf[0] = 0;
	if (table->type != SHT_STRTAB || at >= table->size || table->offset > f->size ||
	    at >= f->size - table->offset)
		return false;
	left = table->size - at;
	if (left > f->size - table->offset - at)
		left = f->size - table->offset - at;
	if (left > size - 1)
		left = size - 1;
	if (elf_file__read(f, table->offset + at, buf, (size_t)left))
		left = 0;
	buf[left] = 0;
	return buf[0];
}

static bool name_is(const struct elf_file *f, const struct elf_section *s, const char *name)
{
	char buf[64];

	return f->shstrndx < f->n_sec &&
	       elf_file__string(f, &f->sec[f->shstrndx], s->name, buf, sizeof(buf)) &&
	       !strcmp(buf, name);
}

const struct elf_section *elf_file__section(const struct elf_file *f, const char *name)
{
	for (size_t i = 0; f->sec && i < f->n_sec; i++)
		if (name_is(f, &f->sec[i], name))
			return &f->sec[i];
	return NULL;
}

const struct elf_section *elf_file__section_of_type(const struct elf_file *f, uint32_t type)
{
	for (size_t i = 0; i < f->n_sec; i++)
		if (f->sec[i].type == type)
			return &f->sec[i];
	return NULL;
}

const struct elf_section *elf_file__section_at(const struct elf_file *f, uint64_t vaddr)
{
	for (size_t i = 0; i < f->n_sec; i++) {
		const struct elf_section *s = &f->sec[i];

		if ((s->flags & SHF_ALLOC) && !(s->flags & SHF_TLS) && vaddr >= s->addr &&
		    vaddr - s->addr < s->size)
			return s;
	}
	return NULL;
}

static int inflate_to(const uint8_t *in, size_t n_in, uint8_t *out, size_t n_out)
{
	uLongf n = n_out;

	return uncompress(out, &n, in, n_in) == Z_OK && n == n_out ? 0 : -EBADMSG;
}

/* `raw` begins with the header of a compressed section. */
static int inflate_section(const struct elf_file *f, uint8_t *raw, size_t n_raw, size_t max,
			   uint8_t **out, size_t *n)
{
	size_t head = f->is64 ? sizeof(Elf64_Chdr) : sizeof(Elf32_Chdr);
	uint64_t size;
	uint32_t type;
	int err;

	if (n_raw < head)
		return -EBADMSG;
	type = f->is64 ? ((Elf64_Chdr *)raw)->ch_type : ((Elf32_Chdr *)raw)->ch_type;
	size = f->is64 ? ((Elf64_Chdr *)raw)->ch_size : ((Elf32_Chdr *)raw)->ch_size;
	if (type != ELFCOMPRESS_ZLIB)
		return -ENOTSUP;
	/* deflate gains at most a factor of 1032: do not ask for memory that cannot be filled */
	if (size > max || size / 1100 > n_raw)
		return -EFBIG;
	*out = malloc(size ? size : 1);
	if (!*out)
		return -ENOMEM;
	err = inflate_to(raw + head, n_raw - head, *out, size);
	if (err) {
		free(*out);
		*out = NULL;
	}
	*n = size;
	return err;
}

int elf_file__contents(const struct elf_file *f, const struct elf_section *s, size_t max,
		       uint8_t **out, size_t *n)
{
	uint8_t *raw = NULL;
	int err;

	*out = NULL;
	*n = 0;
	if (s->type == SHT_NOBITS || s->offset > f->size || s->size > f->size - s->offset)
		return -ENODATA;
	if (s->size > max)
		return -EFBIG;
	raw = malloc(s->size ? s->size : 1);
	if (!raw)
		return -ENOMEM;
	err = elf_file__read(f, s->offset, raw, s->size);
	if (!err && (s->flags & SHF_COMPRESSED)) {
		err = inflate_section(f, raw, s->size, max, out, n);
	} else if (!err) {
		*out = raw;
		*n = s->size;
		return 0;
	}
	free(raw);
	return err;
}

uint64_t elf_file__sym_count(const struct elf_file *f, const struct elf_section *table)
{
	size_t size = f->is64 ? sizeof(Elf64_Sym) : sizeof(Elf32_Sym);

	if ((table->type != SHT_SYMTAB && table->type != SHT_DYNSYM) || table->offset > f->size)
		return 0;
	return (table->size < f->size - table->offset ? table->size : f->size - table->offset) /
	       size;
}

#define TAKE_SYM(to, from)                                   \
	do {                                                 \
		(to)->value = (from)->st_value;              \
		(to)->size = (from)->st_size;                \
		(to)->name = (from)->st_name;                \
		(to)->shndx = (from)->st_shndx;              \
		(to)->type = ELF64_ST_TYPE((from)->st_info); \
		(to)->bind = ELF64_ST_BIND((from)->st_info); \
	} while (0)

int elf_file__syms(const struct elf_file *f, const struct elf_section *table, uint64_t i,
		   struct elf_sym *out, size_t n)
{
	union {
		Elf64_Sym s64[256];
		Elf32_Sym s32[256];
	} raw;
	size_t size = f->is64 ? sizeof(Elf64_Sym) : sizeof(Elf32_Sym);

	while (n) {
		size_t part = n < 256 ? n : 256;
		int err = elf_file__read(f, table->offset + i * size, &raw, part * size);

		if (err)
			return err;
		for (size_t k = 0; k < part; k++) {
			if (f->is64)
				TAKE_SYM(&out[k], &raw.s64[k]);
			else
				TAKE_SYM(&out[k], &raw.s32[k]);
		}
		out += part;
		n -= part;
		i += part;
	}
	return 0;
}

/* Linkers map the page that two segments share twice: code is looked for in the executable one. */
bool elf_file__vaddr(const struct elf_file *f, uint64_t offset, uint64_t *vaddr)
{
	const struct elf_segment *best = NULL;

	for (size_t i = 0; i < f->n_seg; i++) {
		const struct elf_segment *s = &f->seg[i];

		if (s->type != PT_LOAD || offset < s->offset || offset - s->offset >= s->filesz)
			continue;
		if (!best || ((s->flags & PF_X) && !(best->flags & PF_X)))
			best = s;
	}
	if (best)
		*vaddr = best->vaddr + (offset - best->offset);
	return best;
}

bool elf_file__offset(const struct elf_file *f, uint64_t vaddr, uint64_t *offset)
{
	const struct elf_segment *best = NULL;

	for (size_t i = 0; i < f->n_seg; i++) {
		const struct elf_segment *s = &f->seg[i];

		if (s->type != PT_LOAD || vaddr < s->vaddr || vaddr - s->vaddr >= s->filesz)
			continue;
		if (!best || ((s->flags & PF_X) && !(best->flags & PF_X)))
			best = s;
	}
	if (best)
		*offset = best->offset + (vaddr - best->vaddr);
	return best;
}

/* Name and payload are padded to 4 bytes; the 8 that some notes have changes nothing for ours. */
static size_t find_build_id(const uint8_t *p, size_t n, uint8_t id[ELF_BUILD_ID_MAX])
{
	while (n >= sizeof(Elf64_Nhdr)) {
		Elf64_Nhdr h; /* the same in both classes */
		uint64_t name, desc;

		memcpy(&h, p, sizeof(h));
		p += sizeof(h);
		n -= sizeof(h);
		name = ((uint64_t)h.n_namesz + 3) & ~3ull;
		desc = ((uint64_t)h.n_descsz + 3) & ~3ull;
		if (name > n || h.n_descsz > n - name)
			return 0;
		if (h.n_type == NT_GNU_BUILD_ID && h.n_namesz == 4 && !memcmp(p, "GNU", 4) &&
		    h.n_descsz && h.n_descsz <= ELF_BUILD_ID_MAX) {
			memcpy(id, p + name, h.n_descsz);
			return h.n_descsz;
		}
		if (desc > n - name)
			return 0;
		p += name + desc;
		n -= name + desc;
	}
	return 0;
}

static size_t read_build_id(const struct elf_file *f, uint64_t offset, uint64_t size,
			    uint8_t id[ELF_BUILD_ID_MAX])
{
	uint8_t *notes;
	size_t n = 0;

	if (!size || size > NOTES_MAX)
		return 0;
	notes = malloc(size);
	if (notes && !elf_file__read(f, offset, notes, size))
		n = find_build_id(notes, size, id);
	free(notes);
	return n;
}

/* Separate debug files keep the note's section but no contents behind the segment. */
size_t elf_file__build_id(const struct elf_file *f, uint8_t id[ELF_BUILD_ID_MAX])
{
	size_t n = 0;

	for (size_t i = 0; i < f->n_sec && !n; i++)
		if (f->sec[i].type == SHT_NOTE)
			n = read_build_id(f, f->sec[i].offset, f->sec[i].size, id);
	if (f->n_sec)
		return n;
	for (size_t i = 0; i < f->n_seg && !n; i++)
		if (f->seg[i].type == PT_NOTE)
			n = read_build_id(f, f->seg[i].offset, f->seg[i].filesz, id);
	return n;
}

bool elf_file__is_go(const struct elf_file *f)
{
	return elf_file__section(f, ".gopclntab") ||
	       elf_file__section(f, ".data.rel.ro.gopclntab") ||
	       elf_file__section(f, ".go.buildinfo") || elf_file__section(f, ".note.go.buildid");
}

bool elf_file__is_probed(const struct elf_file *f)
{
#if defined(__x86_64__)
	return f->is64 && f->machine == EM_X86_64;
#elif defined(__aarch64__)
	return f->is64 && f->machine == EM_AARCH64;
#else
	(void)f;
	return false;
#endif
}

bool elf_file__dynamic(const struct elf_file *f, uint64_t offset, int64_t *tag, uint64_t *value)
{
	Elf64_Dyn d64 = {0};
	Elf32_Dyn d32 = {0};

	if (f->is64 ? elf_file__read(f, offset, &d64, sizeof(d64))
		    : elf_file__read(f, offset, &d32, sizeof(d32)))
		return false;
	*tag = f->is64 ? d64.d_tag : d32.d_tag;
	*value = f->is64 ? d64.d_un.d_val : d32.d_un.d_val;
	return *tag != DT_NULL;
}

static bool needs_library(const struct elf_file *f, const struct elf_segment *s)
{
	size_t size = f->is64 ? sizeof(Elf64_Dyn) : sizeof(Elf32_Dyn);
	uint64_t value;
	int64_t tag;

	for (uint64_t at = 0; at < s->filesz && at < (1u << 20); at += size) {
		if (!elf_file__dynamic(f, s->offset + at, &tag, &value))
			break;
		if (tag == DT_NEEDED)
			return true;
	}
	return false;
}

bool elf_file__is_static(const struct elf_file *f)
{
	for (size_t i = 0; i < f->n_seg; i++) {
		if (f->seg[i].type == PT_INTERP ||
		    (f->seg[i].type == PT_DYNAMIC && needs_library(f, &f->seg[i])))
			return false;
	}
	return f->type == ET_EXEC || f->type == ET_DYN;
}
