// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Unwind tables against libdw: at many addresses of real files, a row and libdw's own rules must
 * find the same caller. Then programs and files made here, with one thing wrong each.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <inttypes.h>
#include <link.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "sym/cfi.h"
#include "sym/table.h"
#include "sym/vdso.h"

static uint64_t seed = 1;

static uint64_t random_below(uint64_t n)
{
	seed = seed * 6364136223846793005ull + 1442695040888963407ull;
	return (seed >> 33) % n;
}

/* ---- libdw's rules, evaluated on made-up registers and memory */

#define SP 0x7ffd00001000ull
#define FP 0x7ffd00005000ull

/* Any word of memory: what was read from where shows in what comes out. */
static uint64_t memory_at(uint64_t address)
{
	return address * 0x9e3779b97f4a7c15ull;
}

static bool reg_value(unsigned int reg, uint64_t pc, uint64_t *v)
{
	switch (reg) {
	case 6: *v = FP; return true;
	case 7: *v = SP; return true;
	case 16: *v = pc; return true;
	default: return false;
	}
}

/* False: it needs what a walk does not have, or does what is not evaluated here. */
static bool evaluate(const Dwarf_Op *ops, size_t n, uint64_t pc, uint64_t cfa, uint64_t *out)
{
	uint64_t stack[16] = {0}, v;
	size_t top = 0;

	for (size_t i = 0; i < n; i++) {
		const Dwarf_Op *op = &ops[i];
		bool binary = op->atom == DW_OP_and || op->atom == DW_OP_ge ||
			      op->atom == DW_OP_shl || op->atom == DW_OP_plus;

		if (top > 14 || (binary && top < 2))
			return false;
		if (op->atom >= DW_OP_breg0 && op->atom <= DW_OP_breg31) {
			if (!reg_value(op->atom - DW_OP_breg0, pc, &v))
				return false;
			stack[top++] = v + op->number;
		} else if (op->atom == DW_OP_bregx) {
			if (!reg_value((unsigned int)op->number, pc, &v))
				return false;
			stack[top++] = v + op->number2;
		} else if (op->atom >= DW_OP_lit0 && op->atom <= DW_OP_lit31) {
			stack[top++] = op->atom - DW_OP_lit0;
		} else if (op->atom == DW_OP_call_frame_cfa) {
			stack[top++] = cfa;
		} else if (op->atom == DW_OP_plus_uconst && top) {
			stack[top - 1] += op->number;
		} else if (op->atom == DW_OP_deref && top) {
			stack[top - 1] = memory_at(stack[top - 1]);
		} else if (op->atom == DW_OP_stack_value) {
			continue;
		} else if (binary) {
			uint64_t b = stack[--top], a = stack[top - 1];

			stack[top - 1] = op->atom == DW_OP_and	 ? a & b
					 : op->atom == DW_OP_ge	 ? (int64_t)a >= (int64_t)b
					 : op->atom == DW_OP_shl ? a << (b & 63)
								 : a + b;
		} else {
			return false;
		}
	}
	*out = top ? stack[top - 1] : 0;
	return top > 0;
}

struct caller {
	enum { FOUND, OUTERMOST, NOT_SAID } what;
	uint64_t cfa, ra, fp;
};

/* A register of the caller's; its place is an address unless it is a value. */
static bool caller_reg(Dwarf_Frame *f, int reg, uint64_t pc, uint64_t cfa, uint64_t own,
		       bool *undefined, uint64_t *out)
{
	Dwarf_Op mem[3], *ops;
	size_t n;

	*undefined = false;
	if (dwarf_frame_register(f, reg, mem, &ops, &n))
		return false;
	if (!n) {
		*undefined = ops == mem;
		*out = own; /* ops == NULL: same value */
		return true;
	}
	if (!evaluate(ops, n, pc, cfa, out))
		return false;
	if (ops[n - 1].atom != DW_OP_stack_value)
		*out = memory_at(*out);
	return true;
}

static struct caller libdw_says(Dwarf_Frame *f, uint64_t pc)
{
	struct caller c = {.what = NOT_SAID};
	bool undefined, fp_undefined;
	Dwarf_Op *ops;
	size_t n;

	if (dwarf_frame_cfa(f, &ops, &n) || !evaluate(ops, n, pc, 0, &c.cfa))
		c.cfa = 0;
	if (!caller_reg(f, 16, pc, c.cfa, 0, &undefined, &c.ra))
		return c;
	if (undefined) {
		c.what = OUTERMOST;
		return c;
	}
	if (!c.cfa || !caller_reg(f, 6, pc, c.cfa, FP, &fp_undefined, &c.fp))
		return c;
	/* What nothing says of rbp means that it is kept (psABI: callee-saved). */
	if (fp_undefined)
		c.fp = FP;
	c.what = FOUND;
	return c;
}

/* As the walk applies rows. */
static struct caller row_says(const struct unwind_row *row, uint64_t pc)
{
	struct caller c = {.what = FOUND, .fp = FP};

	switch (row->cfa) {
	case UNWIND_CFA_SP: c.cfa = SP + 8 * row->cfa_words; break;
	case UNWIND_CFA_FP: c.cfa = FP + 8 * row->cfa_words; break;
	case UNWIND_CFA_PLT: c.cfa = SP + 8 + 8 * ((pc & 15) >= row->cfa_words); break;
	case UNWIND_DEREF_FP:
		c.cfa = memory_at(FP - 8 * row->cfa_words);
		c.fp = memory_at(FP);
		break;
	case UNWIND_SIGNAL:
		c.cfa = memory_at(SP + 160);
		c.fp = memory_at(SP + 120);
		c.ra = memory_at(SP + 168);
		return c;
	case UNWIND_END: return (struct caller){.what = OUTERMOST};
	default: return (struct caller){.what = NOT_SAID};
	}
	c.ra = memory_at(c.cfa - 8);
	if (row->fp_words)
		c.fp = memory_at(c.cfa + (uint64_t)(8 * (int64_t)row->fp_words));
	return c;
}

static void check_sorted(const struct unwind_table *t)
{
	for (size_t i = 1; i < t->n; i++) {
		const struct unwind_row *a = &t->rows[i - 1], *b = &t->rows[i];

		if (a->pc >= b->pc)
			fail_msg("row %zu: %x does not come before %x", i, a->pc, b->pc);
		if (a->cfa == b->cfa && a->cfa_words == b->cfa_words && a->fp_words == b->fp_words)
			fail_msg("row %zu at %x says what the one before says", i, b->pc);
	}
}

struct tally {
	size_t found, outermost, not_said, no_rule;
};

static void check_address(const char *path, const struct unwind_table *t, Dwarf_CFI *cfi,
			  uint64_t pc, struct tally *n)
{
	const struct unwind_row *row = unwind_table__row(t, (uint32_t)(pc - t->base));
	struct caller want, got;
	Dwarf_Frame *f;

	if (dwarf_cfi_addrframe(cfi, pc, &f)) {
		/* In the padding behind a function its last row goes on. */
		n->no_rule++;
		return;
	}
	want = libdw_says(f, pc);
	free(f);
	assert_non_null(row);
	got = row_says(row, pc);
	if (got.what == NOT_SAID && want.what == FOUND) {
		/* Rows leave it out: it must not be a plain one. */
		n->not_said++;
		if (row->cfa == UNWIND_NONE)
			return;
	}
	if (want.what != got.what ||
	    (want.what == FOUND && (want.cfa != got.cfa || want.ra != got.ra || want.fp != got.fp)))
		fail_msg("%s at %" PRIx64 ": libdw %d cfa %" PRIx64 " ra %" PRIx64 " fp %" PRIx64
			 ", row %d (%d) cfa %" PRIx64 " ra %" PRIx64 " fp %" PRIx64,
			 path, pc, want.what, want.cfa, want.ra, want.fp, got.what, row->cfa,
			 got.cfa, got.ra, got.fp);
	n->found += got.what == FOUND;
	n->outermost += got.what == OUTERMOST;
	n->not_said += want.what == NOT_SAID;
}

static struct tally check_file(const char *path, size_t step)
{
	struct tally n = {0};
	struct unwind_table t;
	Dwarf_CFI *cfi;
	Elf *elf;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(unwind_table__read(fd, &t), 0);
	check_sorted(&t);
	elf_version(EV_CURRENT);
	elf = elf_begin(fd, ELF_C_READ, NULL);
	cfi = dwarf_getcfi_elf(elf);
	assert_non_null(cfi);
	/* Where rows begin and end, and in between. */
	for (size_t i = 0; i < t.n; i += step) {
		check_address(path, &t, cfi, t.base + t.rows[i].pc, &n);
		if (t.rows[i].pc)
			check_address(path, &t, cfi, t.base + t.rows[i].pc - 1, &n);
	}
	for (size_t i = 0; i < t.n_segments; i++)
		for (uint64_t at = 0; at < t.segments[i].size; at += 1 + random_below(16 * step))
			check_address(path, &t, cfi, t.segments[i].vaddr + at, &n);
	dwarf_cfi_end(cfi);
	elf_end(elf);
	close(fd);
	unwind_table__free(&t);
	return n;
}

/* Every library that is loaded here: libc, libdw, libcrypto ... */
static int check_loaded(struct dl_phdr_info *info, size_t size, void *ctx)
{
	const char *path = *info->dlpi_name ? info->dlpi_name : "/proc/self/exe";
	size_t *files = ctx;
	struct tally n;

	(void)size;
	if (*path != '/')
		return 0; /* vdso */
	if (strstr(path, "/libicudata"))
		return 0; /* holds no code */
	n = check_file(path, strstr(path, "/libc.so") ? 1 : 5);
	print_message("%s: %zu found, %zu outermost, %zu not said, %zu without a rule\n", path,
		      n.found, n.outermost, n.not_said, n.no_rule);
	/* What rows cannot say is rare; in libcrypto most so: assembly with the CFA in rax. */
	/* libbrotlicommon has 34 places to look at in all. */
	assert_true(n.found > 20 && n.not_said * 10 < n.found);
	if (strstr(path, "/libc.so"))
		assert_true(n.outermost > 0 && n.found > 20000);
	(*files)++;
	return 0;
}

static void test_as_libdw(void **state)
{
	size_t files = 0;

	(void)state;
	dl_iterate_phdr(check_loaded, &files);
	assert_true(files >= 5);
}

static void test_vdso(void **state)
{
	struct unwind_table t;
	int fd = vdso__open();

	(void)state;
	if (fd == -ENOENT)
		skip();
	assert_true(fd >= 0);
	assert_int_equal(unwind_table__read(fd, &t), 0);
	assert_true(t.n > 0 && t.n_segments == 1);
	check_sorted(&t);
	unwind_table__free(&t);
	close(fd);
}

/* ---- programs made here */

struct rows {
	struct unwind_row row[64];
	size_t n;
	int stop_after;
};

static int keep_row(void *ctx, uint64_t loc, const struct unwind_row *row)
{
	struct rows *r = ctx;

	assert_true(r->n < 64);
	r->row[r->n] = *row;
	r->row[r->n++].pc = (uint32_t)loc;
	return r->stop_after && (int)r->n == r->stop_after ? -EFBIG : 0;
}

/* x86-64's usual CIE: CFA = rsp + 8, the return address at CFA - 8. */
static struct cfi_cie usual(void)
{
	static const uint8_t initial[] = {DW_CFA_def_cfa, 7, 8, DW_CFA_offset | 16, 1};
	struct cfi_cie cie = {.code_align = 1, .data_align = -8, .ra_reg = 16};

	assert_true(cfi__begin(&cie, initial, initial + sizeof(initial)));
	return cie;
}

static struct rows run(const uint8_t *code, size_t n, uint64_t size)
{
	struct cfi_cie cie = usual();
	struct rows r = {0};
	uint8_t *copy = malloc(n); /* of its own size: what is read behind it is seen */

	assert_non_null(copy);
	memcpy(copy, code, n);
	assert_int_equal(cfi__run(&cie, size, copy, copy + n, keep_row, &r), 0);
	free(copy);
	return r;
}

#define RUN(size, ...) run((const uint8_t[]){__VA_ARGS__}, sizeof((uint8_t[]){__VA_ARGS__}), size)

static void check_row(const struct rows *r, size_t i, uint32_t pc, enum unwind_cfa cfa, int words,
		      int fp_words)
{
	assert_true(i < r->n);
	assert_int_equal(r->row[i].pc, pc);
	assert_int_equal(r->row[i].cfa, cfa);
	assert_int_equal(r->row[i].cfa_words, words);
	assert_int_equal(r->row[i].fp_words, fp_words);
}

static void test_programs(void **state)
{
	struct rows r;

	(void)state;
	r = RUN(100, DW_CFA_nop);
	assert_int_equal(r.n, 1);
	check_row(&r, 0, 0, UNWIND_CFA_SP, 1, 0);
	/* push %rbp; mov %rsp,%rbp; ... leave; ret, with the state put aside and taken up again */
	r = RUN(100, DW_CFA_advance_loc | 1, DW_CFA_def_cfa_offset, 16, DW_CFA_offset | 6, 2,
		DW_CFA_advance_loc1, 3, DW_CFA_def_cfa_register, 6, DW_CFA_remember_state,
		DW_CFA_advance_loc2, 10, 0, DW_CFA_restore | 6, DW_CFA_def_cfa, 7, 8,
		DW_CFA_advance_loc4, 1, 0, 0, 0, DW_CFA_restore_state);
	assert_int_equal(r.n, 5);
	check_row(&r, 0, 0, UNWIND_CFA_SP, 1, 0);
	check_row(&r, 1, 1, UNWIND_CFA_SP, 2, -2);
	check_row(&r, 2, 4, UNWIND_CFA_FP, 2, -2);
	check_row(&r, 3, 14, UNWIND_CFA_SP, 1, 0);
	check_row(&r, 4, 15, UNWIND_CFA_FP, 2, -2);
	/* A frame of 512 KiB less a word; one more word; none of words; below sp. */
	r = RUN(9, DW_CFA_def_cfa_offset, 0xf8, 0xff, 0x1f);
	check_row(&r, 0, 0, UNWIND_CFA_SP, 65535, 0);
	r = RUN(9, DW_CFA_def_cfa_offset, 0x80, 0x80, 0x20);
	check_row(&r, 0, 0, UNWIND_NONE, 0, 0);
	r = RUN(9, DW_CFA_def_cfa_offset, 12);
	check_row(&r, 0, 0, UNWIND_NONE, 0, 0);
	r = RUN(9, DW_CFA_def_cfa_offset_sf, 1);
	check_row(&r, 0, 0, UNWIND_NONE, 0, 0);
	/* Other registers; the return address elsewhere, in a register, kept, undefined. */
	r = RUN(9, DW_CFA_def_cfa_register, 3);
	check_row(&r, 0, 0, UNWIND_NONE, 0, 0);
	r = RUN(9, DW_CFA_offset | 16, 2);
	check_row(&r, 0, 0, UNWIND_NONE, 0, 0);
	r = RUN(9, DW_CFA_register, 16, 0);
	check_row(&r, 0, 0, UNWIND_NONE, 0, 0);
	r = RUN(9, DW_CFA_same_value, 16);
	check_row(&r, 0, 0, UNWIND_NONE, 0, 0);
	r = RUN(9, DW_CFA_undefined, 16);
	check_row(&r, 0, 0, UNWIND_END, 0, 0);
	/* The frame pointer is lost, or further away than a row can say. */
	r = RUN(9, DW_CFA_undefined, 6);
	check_row(&r, 0, 0, UNWIND_NONE, 0, 0);
	r = RUN(9, DW_CFA_offset | 6, 0x80, 0x10);
	check_row(&r, 0, 0, UNWIND_CFA_SP, 1, -2048);
	r = RUN(9, DW_CFA_offset | 6, 0x81, 0x10);
	check_row(&r, 0, 0, UNWIND_NONE, 0, 0);
	r = RUN(9, DW_CFA_val_expression, 6, 2, DW_OP_breg6, 0);
	check_row(&r, 0, 0, UNWIND_NONE, 0, 0);
}

static void test_expressions(void **state)
{
	struct rows r;

	(void)state;
	r = RUN(9, DW_CFA_def_cfa_expression, 11, DW_OP_breg7, 8, DW_OP_breg16, 0, DW_OP_lit15,
		DW_OP_and, DW_OP_lit11, DW_OP_ge, DW_OP_lit3, DW_OP_shl, DW_OP_plus);
	check_row(&r, 0, 0, UNWIND_CFA_PLT, 11, 0);
	r = RUN(9, DW_CFA_def_cfa_expression, 3, DW_OP_breg6, 0x68, DW_OP_deref, DW_CFA_expression,
		6, 2, DW_OP_breg6, 0);
	check_row(&r, 0, 0, UNWIND_DEREF_FP, 3, 0);
	/* The same without the frame pointer's, with a plain CFA, with a word more. */
	r = RUN(9, DW_CFA_def_cfa_expression, 3, DW_OP_breg6, 0x68, DW_OP_deref);
	check_row(&r, 0, 0, UNWIND_NONE, 0, 0);
	r = RUN(9, DW_CFA_expression, 6, 2, DW_OP_breg6, 0);
	check_row(&r, 0, 0, UNWIND_NONE, 0, 0);
	r = RUN(9, DW_CFA_def_cfa_expression, 5, DW_OP_breg6, 0x68, DW_OP_deref, DW_OP_plus_uconst,
		8, DW_CFA_expression, 6, 2, DW_OP_breg6, 0);
	check_row(&r, 0, 0, UNWIND_NONE, 0, 0);
	/* An offset alone does not turn an expression into a register's rule. */
	r = RUN(9, DW_CFA_def_cfa_expression, 1, DW_OP_lit0, DW_CFA_def_cfa_offset, 16);
	check_row(&r, 0, 0, UNWIND_NONE, 0, 0);
}

/* What is cut off or unknown ends what is known, not the program. */
static void test_bad_programs(void **state)
{
	static const uint8_t whole[] = {DW_CFA_advance_loc | 1,
					DW_CFA_def_cfa_offset,
					0x90,
					1,
					DW_CFA_expression,
					6,
					3,
					1,
					2,
					3,
					DW_CFA_advance_loc4,
					1,
					0,
					0,
					0};
	struct cfi_cie cie = usual();
	uint8_t deep[20];
	struct rows r;

	(void)state;
	for (size_t n = 1; n < sizeof(whole); n++) {
		r = run(whole, n, 100);
		assert_true(r.n >= 1 && r.n <= 3);
		check_row(&r, 0, 0, UNWIND_CFA_SP, 1, 0);
		/* Whole instructions end at 1, 4, 10. */
		if (n != 1 && n != 4)
			assert_int_equal(r.row[r.n - 1].cfa, UNWIND_NONE);
	}
	r = RUN(100, DW_CFA_advance_loc | 1, 0x3f, DW_CFA_advance_loc | 1);
	assert_int_equal(r.n, 2);
	check_row(&r, 1, 1, UNWIND_NONE, 0, 0);
	r = RUN(100, DW_CFA_restore_state);
	check_row(&r, 0, 0, UNWIND_NONE, 0, 0);
	memset(deep, DW_CFA_remember_state, sizeof(deep));
	r = run(deep, sizeof(deep), 100);
	check_row(&r, 0, 0, UNWIND_NONE, 0, 0);
	/* A number without an end, an expression longer than the program. */
	r = RUN(100, DW_CFA_def_cfa_offset, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80,
		0x80, 0x80, 1);
	check_row(&r, 0, 0, UNWIND_NONE, 0, 0);
	r = RUN(100, DW_CFA_def_cfa_expression, 0xff, 0xff, 0x7f);
	check_row(&r, 0, 0, UNWIND_NONE, 0, 0);
	/* Behind the function's end there are no rows; nor where the sum would wrap around. */
	r = RUN(3, DW_CFA_advance_loc | 3, DW_CFA_def_cfa_offset, 16, DW_CFA_advance_loc | 3);
	assert_int_equal(r.n, 1);
	r = RUN(UINT32_MAX, DW_CFA_advance_loc4, 0xff, 0xff, 0xff, 0xff, DW_CFA_advance_loc | 9);
	assert_int_equal(r.n, 1);
	cie.code_align = UINT64_MAX;
	memset(&r, 0, sizeof(r));
	assert_int_equal(cfi__run(&cie, 100, whole, whole + 1, keep_row, &r), 0);
	assert_int_equal(r.n, 1);
	/* Who takes the rows can stop it. */
	cie = usual();
	memset(&r, 0, sizeof(r));
	r.stop_after = 1;
	assert_int_equal(cfi__run(&cie, 100, whole, whole + sizeof(whole), keep_row, &r), -EFBIG);
	assert_int_equal(r.n, 1);
}

/* ---- files */

static int file_of(const void *bytes, size_t n)
{
	int fd = memfd_create("test", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, n), (ssize_t)n);
	return fd;
}

static void test_no_files(void **state)
{
	struct unwind_table t;
	int fd;

	(void)state;
	fd = file_of("", 0);
	assert_int_equal(unwind_table__read(fd, &t), -ENOEXEC);
	close(fd);
	fd = file_of("#!/bin/sh\n", 10);
	assert_int_equal(unwind_table__read(fd, &t), -ENOEXEC);
	assert_null(t.rows);
	close(fd);
	assert_int_equal(unwind_table__read(-1, &t), -ENOEXEC);
}

/* A real file, cut short or with bytes changed: never a crash, and what comes out is in order. */
static void test_damaged_files(void **state)
{
	static uint8_t bytes[1 << 20], bad[1 << 20];
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	ssize_t n = read(fd, bytes, sizeof(bytes));
	struct unwind_table t;

	(void)state;
	close(fd);
	assert_true(n > 10000);
	for (int i = 0; i < 300; i++) {
		size_t len = i % 3 ? (size_t)n : random_below((uint64_t)n);

		memcpy(bad, bytes, (size_t)n);
		for (int k = 0; i % 3 && k < 200; k++)
			bad[random_below(i % 3 == 1 ? 4096 : (uint64_t)n)] =
				(uint8_t)random_below(256);
		if (i % 3) /* else few would be looked at */
			memcpy(bad, bytes, 64);
		fd = file_of(bad, len);
		if (!unwind_table__read(fd, &t))
			check_sorted(&t);
		unwind_table__free(&t);
		close(fd);
	}
}

/* Without section headers, as `sstrip` leaves it: the same table by the program headers. */
static void test_no_sections(void **state)
{
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC), bare;
	struct unwind_table want, got;
	size_t n = (size_t)lseek(fd, 0, SEEK_END);
	uint8_t *bytes = malloc(n);
	Elf64_Ehdr *eh = (void *)bytes;

	(void)state;
	assert_int_equal(pread(fd, bytes, n, 0), (ssize_t)n);
	assert_int_equal(unwind_table__read(fd, &want), 0);
	close(fd);
	eh->e_shoff = 0;
	eh->e_shnum = eh->e_shstrndx = 0;
	bare = file_of(bytes, n);
	assert_int_equal(unwind_table__read(bare, &got), 0);
	close(bare);
	assert_true(want.n > 100);
	assert_int_equal(got.n, want.n);
	assert_memory_equal(got.rows, want.rows, got.n * sizeof(*got.rows));
	unwind_table__free(&want);
	unwind_table__free(&got);
	free(bytes);
}

static void test_bias(void **state)
{
	struct unwind_table t = {
		.base = 0x401000,
		.segments = {{0x1000, 0x401000, 0x2500}, {0x3500, 0x405500, 0x100}},
		.n_segments = 2,
	};
	uint64_t bias;

	(void)state;
	assert_int_equal(unwind_table__bias(&t, 0x401000, 0x1000, 0x3000, &bias), 0);
	assert_int_equal(0x401234 - bias, 0x234);
	/* A part of it, elsewhere. */
	assert_int_equal(unwind_table__bias(&t, 0x7f0000002000, 0x2000, 0x1000, &bias), 0);
	assert_int_equal(0x7f0000002010 - bias, 0x1010);
	assert_int_equal(unwind_table__bias(&t, 0x7f0000004000, 0x4000, 0x1000, &bias), -ENOENT);
	assert_int_equal(unwind_table__bias(&t, 0x7f0000000000, 0, 0x1000, &bias), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_as_libdw),      cmocka_unit_test(test_vdso),
		cmocka_unit_test(test_programs),      cmocka_unit_test(test_expressions),
		cmocka_unit_test(test_bad_programs),  cmocka_unit_test(test_no_files),
		cmocka_unit_test(test_damaged_files), cmocka_unit_test(test_no_sections),
		cmocka_unit_test(test_bias),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
