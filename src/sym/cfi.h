/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Call frame programs (DWARF 5, 6.4; the x86-64 psABI for registers): from a function's program to
 * the rows of include/stack_walk.h. Only what rows need is followed: the CFA, the frame pointer and
 * the return address. Each byte is looked at once, so hostile programs cost no more than their
 * length.
 */
#ifndef HOPSCOPE_SYM_CFI_H
#define HOPSCOPE_SYM_CFI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "stack_walk.h"

enum cfi_where {
	CFI_UNSET = 0,
	CFI_SAME,      /* the caller's is ours */
	CFI_UNDEFINED, /* there is no caller */
	CFI_AT_CFA,    /* saved at CFA + off */
	CFI_AT_FP,     /* saved where the frame pointer points to */
	CFI_OTHER,     /* something that rows do not say */
};

struct cfi_saved {
	enum cfi_where where;
	int64_t off;
};

enum cfi_cfa {
	CFI_CFA_UNSET = 0,
	CFI_CFA_REG,	  /* register + off */
	CFI_CFA_PLT,	  /* sp + 8, + 8 from byte `off` of each 16 on */
	CFI_CFA_DEREF,	  /* *(fp + off) */
	CFI_CFA_UCONTEXT, /* *(sp + 160): the kernel's signal frame */
	CFI_CFA_OTHER,
};

/* What holds at a place. */
struct cfi_state {
	enum cfi_cfa cfa;
	uint64_t reg;
	int64_t off;
	struct cfi_saved fp, ra;
};

/* What a function's program needs of its CIE. */
struct cfi_cie {
	uint64_t code_align;
	int64_t data_align;
	uint64_t ra_reg;
	bool signal;
	struct cfi_state initial; /* after the CIE's own program */
};

/* From `loc` (counted from the function's first byte) on. Negative: stop. */
typedef int (*cfi_row_fn)(void *ctx, uint64_t loc, const struct unwind_row *row);

/* Runs the CIE's program. cie->initial is what functions begin with; false: it is not sound. */
bool cfi__begin(struct cfi_cie *cie, const uint8_t *insn, const uint8_t *end);

/*
 * Runs a function's program of `size` bytes of code; fn gets each change. Behind an instruction
 * that is not known or not whole, the rest of the function is UNWIND_NONE. 0, or what fn returned.
 */
int cfi__run(const struct cfi_cie *cie, uint64_t size, const uint8_t *insn, const uint8_t *end,
	     cfi_row_fn fn, void *ctx);

/* Bytes of a number. False: it is cut off, or longer than 64 bits. */
bool cfi__uleb(const uint8_t **p, const uint8_t *end, uint64_t *v);
bool cfi__sleb(const uint8_t **p, const uint8_t *end, int64_t *v);

#endif
