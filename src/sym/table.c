// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Functions are collected first, then sorted: linkers keep .eh_frame in the order of their input.
 * libdw's dwarf_cfi_addrframe() answers for one address and begins anew for each; its iterator over
 * the section is used, the programs are run by sym/cfi.c.
 */
#include "sym/table.h"

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <errno.h>
#include <gelf.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "sym/cfi.h"

/* Bounds for hostile files. Chromium has 23 MB of .eh_frame and 1.5M rows. */
#define SECTION_MAX (512ull << 20)
#define ROWS_MAX    (1u << 23)
#define FDES_MAX    (1u << 22)
#define PHDRS_MAX   512

/*
 * Between functions there is padding to the next 16 bytes, in which nothing runs; no rows are spent
 * on it. A wider gap is code without rules.
 */
#define GAP_MIN 16

struct cie {
	uint64_t off; /* in the section */
	struct cfi_cie cie;
	uint8_t encoding; /* of functions' addresses */
	bool sized;	  /* functions have augmentation data too */
	bool sound;
};

struct fde {
	uint32_t start, size;
	uint32_t cie; /* index */
	uint32_t n_insn;
	const uint8_t *insn;
};

struct reader {
	struct unwind_table *t;
	Elf *elf;
	GElf_Ehdr ehdr;
	uint64_t limit; /* pc behind the last executable byte */
	/* the section */
	Elf_Data *data;
	uint64_t vaddr;
	bool eh_frame;
	struct cie *cies;
	size_t n_cies, cap_cies;
	struct fde *fdes;
	size_t n_fdes, cap_fdes;
	size_t cap_rows;
	uint32_t pc; /* of the function whose program runs */
};

/* One more place in an array of *cap elements; the array may move. */
static int grow(void **array, size_t n, size_t *cap, size_t size)
{
	size_t want = *cap ? *cap * 2 : 64;
	void *p;

	if (*array && n < *cap)
		return 0;
	p = realloc(*array, want * size);
	if (!p)
		return -ENOMEM;
	*array = p;
	*cap = want;
	return 0;
}

static int add_row(struct reader *r, uint32_t pc, const struct unwind_row *rule)
{
	struct unwind_table *t = r->t;
	struct unwind_row *last = t->n ? &t->rows[t->n - 1] : NULL;
	void *rows = t->rows;
	int err;

	if (last && last->cfa == rule->cfa && last->cfa_words == rule->cfa_words &&
	    last->fp_words == rule->fp_words)
		return 0;
	if (t->n >= ROWS_MAX)
		return -EFBIG;
	err = grow(&rows, t->n, &r->cap_rows, sizeof(*t->rows));
	if (err)
		return err;
	t->rows = rows;
	t->rows[t->n] = *rule;
	t->rows[t->n++].pc = pc;
	return 0;
}

/* ---- the file */

static void read_segments(struct reader *r)
{
	struct unwind_table *t = r->t;
	size_t n;
	uint64_t limit = 0;

	t->base = UINT64_MAX;
	if (elf_getphdrnum(r->elf, &n))
		return;
	for (size_t i = 0; i < n && i < PHDRS_MAX && t->n_segments < UNWIND_SEGMENTS; i++) {
		GElf_Phdr ph;

		if (!gelf_getphdr(r->elf, (int)i, &ph) || ph.p_type != PT_LOAD ||
		    !(ph.p_flags & PF_X) || !ph.p_filesz || ph.p_vaddr + ph.p_filesz < ph.p_vaddr ||
		    ph.p_offset + ph.p_filesz < ph.p_offset)
			continue;
		t->segments[t->n_segments++] =
			(struct unwind_segment){ph.p_offset, ph.p_vaddr, ph.p_filesz};
		if ((ph.p_vaddr & ~0xfffull) < t->base)
			t->base = ph.p_vaddr & ~0xfffull;
		if (ph.p_vaddr + ph.p_filesz > limit)
			limit = ph.p_vaddr + ph.p_filesz;
	}
	r->limit = limit > t->base ? limit - t->base : 0;
	if (r->limit > UINT32_MAX)
		r->limit = UINT32_MAX;
}

static bool use_data(struct reader *r, Elf_Data *data, uint64_t vaddr, bool eh_frame)
{
	if (!data || !data->d_buf || !data->d_size)
		return false;
	r->data = data;
	r->vaddr = vaddr;
	r->eh_frame = eh_frame;
	return true;
}

static bool find_section(struct reader *r, const char *wanted)
{
	Elf_Scn *scn = NULL;
	size_t names;

	if (elf_getshdrstrndx(r->elf, &names))
		return false;
	while ((scn = elf_nextscn(r->elf, scn))) {
		GElf_Shdr sh;
		const char *name;

		if (!gelf_getshdr(scn, &sh) || sh.sh_type == SHT_NOBITS ||
		    (sh.sh_flags & SHF_COMPRESSED) || sh.sh_size > SECTION_MAX)
			continue;
		name = elf_strptr(r->elf, names, sh.sh_name);
		if (name && !strcmp(name, wanted))
			return use_data(r, elf_rawdata(scn, NULL), sh.sh_addr,
					!strcmp(wanted, ".eh_frame"));
	}
	return false;
}

static bool pointer(const struct reader *r, const uint8_t **p, const uint8_t *end, uint8_t encoding,
		    uint64_t *v);

/* Without section headers: .eh_frame_hdr, which has a program header, begins with its address. */
static bool find_by_header(struct reader *r)
{
	GElf_Phdr hdr = {0}, ph;
	const uint8_t *p, *end;
	uint64_t at, left;
	size_t n;

	if (elf_getphdrnum(r->elf, &n))
		return false;
	for (size_t i = 0; i < n && i < PHDRS_MAX; i++)
		if (gelf_getphdr(r->elf, (int)i, &ph) && ph.p_type == PT_GNU_EH_FRAME)
			hdr = ph;
	if (hdr.p_filesz < 8 || hdr.p_filesz > SECTION_MAX ||
	    !use_data(r,
		      elf_getdata_rawchunk(r->elf, (int64_t)hdr.p_offset, hdr.p_filesz, ELF_T_BYTE),
		      hdr.p_vaddr, true))
		return false;
	p = r->data->d_buf;
	end = p + r->data->d_size;
	p += 4;
	if (p[-4] != 1 || !pointer(r, &p, end, p[-3], &at))
		return false;
	for (size_t i = 0; i < n && i < PHDRS_MAX; i++) {
		if (!gelf_getphdr(r->elf, (int)i, &ph) || ph.p_type != PT_LOAD || at < ph.p_vaddr ||
		    at - ph.p_vaddr >= ph.p_filesz)
			continue;
		left = ph.p_filesz - (at - ph.p_vaddr);
		return left <= SECTION_MAX &&
		       use_data(r,
				elf_getdata_rawchunk(r->elf,
						     (int64_t)(ph.p_offset + at - ph.p_vaddr), left,
						     ELF_T_BYTE),
				at, true);
	}
	return false;
}

/* ---- the section */

/* An address as .eh_frame writes it. False: cut off, or a kind that linkers do not make here. */
static bool pointer(const struct reader *r, const uint8_t **p, const uint8_t *end, uint8_t encoding,
		    uint64_t *v)
{
	uint64_t place = r->vaddr + (uint64_t)(*p - (const uint8_t *)r->data->d_buf);
	size_t n = 0;
	int64_t s;

	switch (encoding & 0x0f) {
	case DW_EH_PE_absptr:
	case DW_EH_PE_udata8:
	case DW_EH_PE_sdata8: n = 8; break;
	case DW_EH_PE_udata4:
	case DW_EH_PE_sdata4: n = 4; break;
	case DW_EH_PE_udata2:
	case DW_EH_PE_sdata2: n = 2; break;
	case DW_EH_PE_uleb128:
		if (!cfi__uleb(p, end, v))
			return false;
		break;
	case DW_EH_PE_sleb128:
		if (!cfi__sleb(p, end, &s))
			return false;
		*v = (uint64_t)s;
		break;
	default: return false;
	}
	if (n) {
		if ((size_t)(end - *p) < n)
			return false;
		*v = 0;
		memcpy(v, *p, n);
		*p += n;
		if ((encoding & 0x0f) == DW_EH_PE_sdata4)
			*v = (uint64_t)(int32_t)*v;
		else if ((encoding & 0x0f) == DW_EH_PE_sdata2)
			*v = (uint64_t)(int16_t)*v;
	}
	switch (encoding & 0xf0) {
	case DW_EH_PE_absptr: return true;
	case DW_EH_PE_pcrel: *v += place; return true;
	default: return false;
	}
}

/* What the letters of a CIE's augmentation say. */
static bool read_augmentation(const struct reader *r, const Dwarf_CIE *in, struct cie *c)
{
	const char *a = in->augmentation;
	const uint8_t *p = in->augmentation_data, *end = p + in->augmentation_data_size;
	uint64_t personality;

	c->encoding = DW_EH_PE_absptr;
	if (!*a)
		return true;
	if (*a++ != 'z')
		return false;
	c->sized = true;
	for (; *a; a++) {
		switch (*a) {
		case 'R':
			if (p >= end)
				return false;
			c->encoding = *p++;
			break;
		case 'L':
			if (p++ >= end)
				return false;
			break;
		case 'P':
			if (p >= end)
				return false;
			/* Only its length matters, but for the one kind that is aligned. */
			p++;
			if (!pointer(r, &p, end, p[-1] & 0x0f, &personality))
				return false;
			break;
		case 'S': c->cie.signal = true; break;
		default: return false;
		}
	}
	return true;
}

static int add_cie(struct reader *r, uint64_t off, const Dwarf_CIE *in)
{
	void *cies = r->cies;
	struct cie *c;
	int err = grow(&cies, r->n_cies, &r->cap_cies, sizeof(*r->cies));

	if (err)
		return err;
	r->cies = cies;
	c = &r->cies[r->n_cies++];
	memset(c, 0, sizeof(*c));
	c->off = off;
	c->cie.code_align = in->code_alignment_factor;
	c->cie.data_align = in->data_alignment_factor;
	c->cie.ra_reg = in->return_address_register;
	c->sound = read_augmentation(r, in, c) &&
		   cfi__begin(&c->cie, in->initial_instructions, in->initial_instructions_end);
	return 0;
}

static const struct cie *find_cie(const struct reader *r, uint64_t off)
{
	size_t lo = 0, hi = r->n_cies;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (r->cies[mid].off == off)
			return &r->cies[mid];
		if (r->cies[mid].off < off)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

static int add_fde(struct reader *r, const Dwarf_FDE *in)
{
	const struct cie *c = find_cie(r, in->CIE_pointer);
	const uint8_t *p = in->start, *end = in->end;
	uint64_t start, size, skip, base = r->t->base;
	void *fdes = r->fdes;
	int err;

	if (!c || !c->sound || !pointer(r, &p, end, c->encoding, &start) ||
	    !pointer(r, &p, end, c->encoding & 0x0f, &size))
		return 0;
	if (c->sized) {
		if (!cfi__uleb(&p, end, &skip) || skip > (uint64_t)(end - p))
			return 0;
		p += skip;
	}
	/* What the linker threw away stays as functions at 0. */
	if (start < base || start - base >= r->limit || !size || size > r->limit - (start - base))
		return 0;
	if (r->n_fdes >= FDES_MAX)
		return -EFBIG;
	err = grow(&fdes, r->n_fdes, &r->cap_fdes, sizeof(*r->fdes));
	if (err)
		return err;
	r->fdes = fdes;
	r->fdes[r->n_fdes++] = (struct fde){
		.start = (uint32_t)(start - base),
		.size = (uint32_t)size,
		.cie = (uint32_t)(c - r->cies),
		.n_insn = (uint32_t)(end - p),
		.insn = p,
	};
	return 0;
}

/* All CIEs, then all functions: one can come before its CIE. */
static int collect(struct reader *r, bool cies)
{
	Dwarf_Off off = 0, next = 0;
	Dwarf_CFI_Entry e;
	int err = 0;

	while (!err && !dwarf_next_cfi((const unsigned char *)r->ehdr.e_ident, r->data, r->eh_frame,
				       off, &next, &e)) {
		if (dwarf_cfi_cie_p(&e))
			err = cies ? add_cie(r, off, &e.cie) : 0;
		else
			err = cies ? 0 : add_fde(r, &e.fde);
		if (next <= off)
			break;
		off = next;
	}
	return err;
}

static int by_start(const void *a, const void *b)
{
	const struct fde *x = a, *y = b;

	if (x->start != y->start)
		return x->start < y->start ? -1 : 1;
	return (x->size > y->size) - (x->size < y->size);
}

static int on_row(void *ctx, uint64_t loc, const struct unwind_row *row)
{
	struct reader *r = ctx;

	return add_row(r, r->pc + (uint32_t)loc, row);
}

static int make_rows(struct reader *r)
{
	const struct unwind_row none = {.cfa = UNWIND_FP};
	uint32_t end = 0;
	int err = 0;

	if (r->n_fdes)
		qsort(r->fdes, r->n_fdes, sizeof(*r->fdes), by_start);
	for (size_t i = 0; i < r->n_fdes && !err; i++) {
		const struct fde *f = &r->fdes[i];

		if (f->start < end)
			continue; /* overlaps: the first one counts */
		if (end && f->start - end >= GAP_MIN)
			err = add_row(r, end, &none);
		r->pc = f->start;
		err = err ? err
			  : cfi__run(&r->cies[f->cie].cie, f->size, f->insn, f->insn + f->n_insn,
				     on_row, r);
		end = f->start + f->size;
	}
	if (!err && r->t->n)
		err = add_row(r, end, &none);
	return err;
}

static int read_elf(struct reader *r)
{
	int err;

	if (elf_kind(r->elf) != ELF_K_ELF || !gelf_getehdr(r->elf, &r->ehdr))
		return -ENOEXEC;
	read_segments(r);
	if (r->ehdr.e_machine != EM_X86_64 || r->ehdr.e_ident[EI_CLASS] != ELFCLASS64 ||
	    r->ehdr.e_ident[EI_DATA] != ELFDATA2LSB || !r->t->n_segments)
		return 0;
	if (!find_section(r, ".eh_frame") && !find_by_header(r) && !find_section(r, ".debug_frame"))
		return 0;
	err = collect(r, true);
	err = err ? err : collect(r, false);
	return err ? err : make_rows(r);
}

int unwind_table__read(int fd, struct unwind_table *t)
{
	struct reader r = {.t = t};
	int err = -ENOEXEC;

	memset(t, 0, sizeof(*t));
	elf_version(EV_CURRENT);
	/* Not mapped: a file that is cut short meanwhile must not kill us. */
	r.elf = elf_begin(fd, ELF_C_READ, NULL);
	if (r.elf)
		err = read_elf(&r);
	elf_end(r.elf);
	free(r.cies);
	free(r.fdes);
	if (err)
		unwind_table__free(t);
	return err;
}

void unwind_table__free(struct unwind_table *t)
{
	free(t->rows);
	memset(t, 0, sizeof(*t));
}

int unwind_table__bias(const struct unwind_table *t, uint64_t start, uint64_t offset, uint64_t len,
		       uint64_t *bias)
{
	for (size_t i = 0; i < t->n_segments; i++) {
		const struct unwind_segment *s = &t->segments[i];

		if (offset >= s->offset + s->size || offset + len <= s->offset)
			continue;
		/* An address of the mapping less its address in the file, and rows count from base.
		 */
		*bias = start - offset + s->offset - s->vaddr + t->base;
		return 0;
	}
	return -ENOENT;
}

const struct unwind_row *unwind_table__row(const struct unwind_table *t, uint32_t pc)
{
	size_t lo = 0, hi = t->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (t->rows[mid].pc <= pc)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo ? &t->rows[lo - 1] : NULL;
}
