// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "sym/cfi.h"

#include <dwarf.h>
#include <string.h>

/* DWARF's numbers of x86-64's registers. */
#define REG_FP 6
#define REG_SP 7
#define REG_RA 16

/* Compilers nest one deep. */
#define REMEMBER 8

#define CFA_WORDS_MAX ((1 << 16) - 1)
#define FP_WORDS_MIN  (-(1 << 11))
#define FP_WORDS_MAX  ((1 << 11) - 1)

struct run {
	const struct cfi_cie *cie;
	const uint8_t *p, *end;
	struct cfi_state now, saved[REMEMBER];
	size_t n_saved;
	uint64_t loc, size;
	cfi_row_fn fn;
	void *ctx;
	int err;
};

bool cfi__uleb(const uint8_t **p, const uint8_t *end, uint64_t *v)
{
	uint64_t sum = 0;

	for (unsigned int shift = 0; *p < end && shift < 64; shift += 7) {
		uint8_t b = *(*p)++;

		sum |= (uint64_t)(b & 0x7f) << shift;
		if (!(b & 0x80)) {
			*v = sum;
			return true;
		}
	}
	return false;
}

bool cfi__sleb(const uint8_t **p, const uint8_t *end, int64_t *v)
{
	uint64_t sum = 0;

	for (unsigned int shift = 0; *p < end && shift < 64; shift += 7) {
		uint8_t b = *(*p)++;

		sum |= (uint64_t)(b & 0x7f) << shift;
		if (!(b & 0x80)) {
			if ((b & 0x40) && shift + 7 < 64)
				sum |= ~0ull << (shift + 7);
			*v = (int64_t)sum;
			return true;
		}
	}
	return false;
}

static bool fixed(struct run *r, size_t n, uint64_t *v)
{
	*v = 0;
	if ((size_t)(r->end - r->p) < n)
		return false;
	memcpy(v, r->p, n); /* little endian: the only files we read */
	r->p += n;
	return true;
}

/* Wraps around, as hostile numbers may. */
static int64_t times(uint64_t a, int64_t b)
{
	return (int64_t)(a * (uint64_t)b);
}

static bool is_words(int64_t off, int64_t min, int64_t max)
{
	return off % 8 == 0 && off / 8 >= min && off / 8 <= max;
}

static void row_none(struct unwind_row *row)
{
	row->cfa = UNWIND_NONE;
	row->cfa_words = 0;
	row->fp_words = 0;
}

static bool row_cfa(const struct cfi_state *s, struct unwind_row *row)
{
	switch (s->cfa) {
	case CFI_CFA_REG:
		if ((s->reg != REG_SP && s->reg != REG_FP) || !is_words(s->off, 0, CFA_WORDS_MAX))
			return false;
		row->cfa = s->reg == REG_SP ? UNWIND_CFA_SP : UNWIND_CFA_FP;
		row->cfa_words = (unsigned int)(s->off / 8) & CFA_WORDS_MAX;
		return true;
	case CFI_CFA_PLT:
		row->cfa = UNWIND_CFA_PLT;
		row->cfa_words = (unsigned int)s->off & CFA_WORDS_MAX;
		return true;
	case CFI_CFA_DEREF:
		if (s->off > 0 || !is_words(s->off, -CFA_WORDS_MAX, 0) || s->fp.where != CFI_AT_FP)
			return false;
		row->cfa = UNWIND_DEREF_FP;
		row->cfa_words = (unsigned int)(-s->off / 8) & CFA_WORDS_MAX;
		return true;
	case CFI_CFA_UNSET:
	case CFI_CFA_UCONTEXT:
	case CFI_CFA_OTHER: return false;
	}
	return false;
}

static void row_of(const struct run *r, struct unwind_row *row)
{
	const struct cfi_state *s = &r->now;

	row_none(row);
	if (r->cie->ra_reg != REG_RA)
		return;
	if (r->cie->signal) {
		row->cfa = s->cfa == CFI_CFA_UCONTEXT ? UNWIND_SIGNAL : UNWIND_NONE;
		return;
	}
	if (s->ra.where == CFI_UNDEFINED) {
		row->cfa = UNWIND_END;
		return;
	}
	if (s->ra.where != CFI_AT_CFA || s->ra.off != -8 || !row_cfa(s, row)) {
		row_none(row);
		return;
	}
	switch (s->fp.where) {
	case CFI_UNSET:
	case CFI_SAME: break;
	case CFI_AT_CFA:
		if (s->fp.off && is_words(s->fp.off, FP_WORDS_MIN, FP_WORDS_MAX))
			row->fp_words = (int)(s->fp.off / 8);
		else
			row_none(row);
		break;
	case CFI_AT_FP:
		if (row->cfa != UNWIND_DEREF_FP)
			row_none(row);
		break;
	/* It is lost: frames that need it would be wrong. */
	case CFI_UNDEFINED:
	case CFI_OTHER: row_none(row); break;
	}
}

/* What held since r->loc did so up to here. */
static void emit(struct run *r)
{
	struct unwind_row row = {0};

	if (!r->fn || r->err || r->loc >= r->size)
		return;
	row_of(r, &row);
	r->err = r->fn(r->ctx, r->loc, &row);
}

static bool advance(struct run *r, uint64_t delta)
{
	uint64_t by = delta * r->cie->code_align;

	if (!by)
		return true;
	emit(r);
	/* Behind the function nothing is ours to say; also when the product wrapped around. */
	r->loc = by > r->size || r->loc + by > r->size ? r->size : r->loc + by;
	return true;
}

static void set_saved(struct run *r, uint64_t reg, enum cfi_where where, int64_t off)
{
	struct cfi_saved s = {where, off};

	if (reg == REG_FP)
		r->now.fp = s;
	else if (reg == REG_RA)
		r->now.ra = s;
}

static void restore(struct run *r, uint64_t reg)
{
	if (reg == REG_FP)
		r->now.fp = r->cie->initial.fp;
	else if (reg == REG_RA)
		r->now.ra = r->cie->initial.ra;
}

/* The expression at r->p, which is passed over. */
static bool block(struct run *r, const uint8_t **from, size_t *len)
{
	uint64_t n;

	if (!cfi__uleb(&r->p, r->end, &n) || n > (uint64_t)(r->end - r->p))
		return false;
	*from = r->p;
	*len = (size_t)n;
	r->p += n;
	return true;
}

/* PLT entries of binutils: sp + 8 + ((ip & 15) >= lit) * 8; lit follows from the entries' kind. */
static bool is_plt(const uint8_t *e, size_t len, int64_t *lit)
{
	static const uint8_t head[] = {DW_OP_breg0 + REG_SP, 8,	       DW_OP_breg0 + REG_RA, 0,
				       DW_OP_lit15,	     DW_OP_and};
	static const uint8_t tail[] = {DW_OP_ge, DW_OP_lit3, DW_OP_shl, DW_OP_plus};

	if (len != sizeof(head) + 1 + sizeof(tail) || memcmp(e, head, sizeof(head)) ||
	    memcmp(e + sizeof(head) + 1, tail, sizeof(tail)))
		return false;
	*lit = e[sizeof(head)] - DW_OP_lit0;
	return *lit >= 0 && *lit <= 15;
}

static bool cfa_expression(struct run *r)
{
	const uint8_t *e, *end;
	size_t len;
	int64_t off;

	if (!block(r, &e, &len))
		return false;
	end = e + len;
	r->now.cfa = CFI_CFA_OTHER;
	if (is_plt(e, len, &r->now.off)) {
		r->now.cfa = CFI_CFA_PLT;
		return true;
	}
	if (len < 3 || end[-1] != DW_OP_deref)
		return true;
	if (*e == DW_OP_breg0 + REG_FP) {
		e++;
		if (cfi__sleb(&e, end, &off) && e == end - 1) {
			r->now.cfa = CFI_CFA_DEREF;
			r->now.off = off;
		}
	} else if (*e == DW_OP_breg0 + REG_SP) {
		e++;
		if (cfi__sleb(&e, end, &off) && e == end - 1 && off == 160)
			r->now.cfa = CFI_CFA_UCONTEXT;
	}
	return true;
}

static bool expression(struct run *r, bool is_address)
{
	const uint8_t *e;
	uint64_t reg;
	size_t len;

	if (!cfi__uleb(&r->p, r->end, &reg) || !block(r, &e, &len))
		return false;
	if (is_address && len == 2 && e[0] == DW_OP_breg0 + REG_FP && !e[1])
		set_saved(r, reg, CFI_AT_FP, 0);
	else
		set_saved(r, reg, CFI_OTHER, 0);
	return true;
}

/* def_cfa and kin: a register, if `reg`, then an offset: 'u' as it is, 's' factored, 0 none. */
static bool def_cfa(struct run *r, bool reg, char off)
{
	uint64_t u;
	int64_t s;

	if (reg) {
		if (!cfi__uleb(&r->p, r->end, &u))
			return false;
		r->now.reg = u;
		if (off)
			r->now.cfa = CFI_CFA_REG;
	}
	/* Only half a rule is given: the other half must be there. */
	if (r->now.cfa != CFI_CFA_REG)
		r->now.cfa = CFI_CFA_OTHER;
	if (off == 'u') {
		if (!cfi__uleb(&r->p, r->end, &u))
			return false;
		r->now.off = (int64_t)u;
	} else if (off == 's') {
		if (!cfi__sleb(&r->p, r->end, &s))
			return false;
		r->now.off = times((uint64_t)s, r->cie->data_align);
	}
	return true;
}

/* A register, then perhaps a factored offset: 'u', 's', 'n' (negated). */
static bool reg_rule(struct run *r, enum cfi_where where, char off)
{
	uint64_t reg, u = 0;
	int64_t s = 0;

	if (!cfi__uleb(&r->p, r->end, &reg))
		return false;
	if ((off == 'u' || off == 'n') && !cfi__uleb(&r->p, r->end, &u))
		return false;
	if (off == 's' && !cfi__sleb(&r->p, r->end, &s))
		return false;
	if (off == 's')
		u = (uint64_t)s;
	if (off == 'n')
		u = -u;
	set_saved(r, reg, where, times(u, r->cie->data_align));
	return true;
}

static bool remember(struct run *r)
{
	if (r->n_saved == REMEMBER)
		return false;
	r->saved[r->n_saved++] = r->now;
	return true;
}

static bool recall(struct run *r)
{
	if (!r->n_saved)
		return false;
	r->now = r->saved[--r->n_saved];
	return true;
}

static bool skip_number(struct run *r)
{
	uint64_t v;

	return cfi__uleb(&r->p, r->end, &v);
}

static bool step_extended(struct run *r, uint8_t op)
{
	uint64_t v;

	switch (op) {
	case DW_CFA_nop: return true;
	case DW_CFA_advance_loc1: return fixed(r, 1, &v) && advance(r, v);
	case DW_CFA_advance_loc2: return fixed(r, 2, &v) && advance(r, v);
	case DW_CFA_advance_loc4: return fixed(r, 4, &v) && advance(r, v);
	case DW_CFA_offset_extended: return reg_rule(r, CFI_AT_CFA, 'u');
	case DW_CFA_offset_extended_sf: return reg_rule(r, CFI_AT_CFA, 's');
	case DW_CFA_GNU_negative_offset_extended: return reg_rule(r, CFI_AT_CFA, 'n');
	case DW_CFA_restore_extended:
		if (!cfi__uleb(&r->p, r->end, &v))
			return false;
		restore(r, v);
		return true;
	case DW_CFA_undefined: return reg_rule(r, CFI_UNDEFINED, 0);
	case DW_CFA_same_value: return reg_rule(r, CFI_SAME, 0);
	case DW_CFA_register: return reg_rule(r, CFI_OTHER, 0) && skip_number(r);
	case DW_CFA_val_offset: return reg_rule(r, CFI_OTHER, 'u');
	case DW_CFA_val_offset_sf: return reg_rule(r, CFI_OTHER, 's');
	case DW_CFA_remember_state: return remember(r);
	case DW_CFA_restore_state: return recall(r);
	case DW_CFA_def_cfa: return def_cfa(r, true, 'u');
	case DW_CFA_def_cfa_sf: return def_cfa(r, true, 's');
	case DW_CFA_def_cfa_register: return def_cfa(r, true, 0);
	case DW_CFA_def_cfa_offset: return def_cfa(r, false, 'u');
	case DW_CFA_def_cfa_offset_sf: return def_cfa(r, false, 's');
	case DW_CFA_def_cfa_expression: return cfa_expression(r);
	case DW_CFA_expression: return expression(r, true);
	case DW_CFA_val_expression: return expression(r, false);
	case DW_CFA_GNU_args_size: return skip_number(r);
	default: return false;
	}
}

static bool step(struct run *r)
{
	uint8_t op = *r->p++, low = op & 0x3f;
	uint64_t v;

	switch (op & 0xc0) {
	case DW_CFA_advance_loc: return advance(r, low);
	case DW_CFA_offset:
		if (!cfi__uleb(&r->p, r->end, &v))
			return false;
		set_saved(r, low, CFI_AT_CFA, times(v, r->cie->data_align));
		return true;
	case DW_CFA_restore: restore(r, low); return true;
	default: return step_extended(r, op);
	}
}

bool cfi__begin(struct cfi_cie *cie, const uint8_t *insn, const uint8_t *end)
{
	struct run r = {.cie = cie, .p = insn, .end = end};

	memset(&cie->initial, 0, sizeof(cie->initial));
	while (r.p < r.end)
		if (!step(&r))
			return false;
	cie->initial = r.now;
	return true;
}

int cfi__run(const struct cfi_cie *cie, uint64_t size, const uint8_t *insn, const uint8_t *end,
	     cfi_row_fn fn, void *ctx)
{
	struct run r = {.cie = cie, .p = insn, .end = end, .size = size, .fn = fn, .ctx = ctx};
	bool sound = true;

	r.now = cie->initial;
	while (r.p < r.end && !r.err && r.loc < size && sound)
		sound = step(&r);
	if (!sound) {
		r.now.cfa = CFI_CFA_OTHER;
		r.now.ra.where = CFI_OTHER;
	}
	emit(&r);
	return r.err;
}
