// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "probe/placement.h"

#include <capstone/capstone.h>
#include <stdio.h>
#include <string.h>

#define LOOK_AT	   16	/* instructions from the entry: at most 240 bytes */
#define PUSHED_MAX 1016 /* bytes; what a cookie can say, see heap_record.h */

static void entry(struct placement *p)
{
	memset(p, 0, sizeof(*p));
	snprintf(p->instruction, sizeof(p->instruction), "entry");
}

#if defined(__x86_64__)

static const x86_reg arguments[3][4] = {
	{X86_REG_RDI, X86_REG_EDI, X86_REG_DI, X86_REG_DIL},
	{X86_REG_RSI, X86_REG_ESI, X86_REG_SI, X86_REG_SIL},
	{X86_REG_RDX, X86_REG_EDX, X86_REG_DX, X86_REG_DL},
};

/*
 * What the kernel emulates: branch_setup_xol_ops() and push_setup_xol_ops() in
 * arch/x86/kernel/uprobes.c. Of nops those that it writes itself (x86_nops, since Linux 6.7 or so;
 * before that a step, which is right too). endbr64 is none of them.
 */
static bool is_nop(const cs_insn *i)
{
	static const char *const nops[] = {"\x90",
					   "\x66\x90",
					   "\x0f\x1f\x00",
					   "\x0f\x1f\x40\x00",
					   "\x0f\x1f\x44\x00\x00",
					   "\x66\x0f\x1f\x44\x00\x00",
					   "\x0f\x1f\x80\x00\x00\x00\x00",
					   "\x0f\x1f\x84\x00\x00\x00\x00\x00"};

	return i->size <= 8 && !memcmp(i->bytes, nops[i->size - 1], i->size);
}

static bool is_emulated(const cs_insn *i)
{
	const uint8_t *b = i->bytes;

	if (is_nop(i))
		return true;
	if (b[0] == 0xeb || b[0] == 0xe9 || b[0] == 0xe8) /* jmp, call: relative */
		return true;
	if ((b[0] >= 0x70 && b[0] <= 0x7f) || (b[0] == 0x0f && (b[1] & 0xf0) == 0x80)) /* jcc */
		return true;
	if (i->size == 1 && b[0] >= 0x50 && b[0] <= 0x57) /* push */
		return true;
	return i->size == 2 && b[0] == 0x41 && b[1] >= 0x50 && b[1] <= 0x57;
}

static bool is_endbr(const cs_insn *i)
{
	return i->size == 4 && !memcmp(i->bytes, "\xf3\x0f\x1e\xfa", 4);
}

static bool is_branch(csh cs, const cs_insn *i)
{
	return cs_insn_group(cs, i, X86_GRP_JUMP) || cs_insn_group(cs, i, X86_GRP_CALL) ||
	       cs_insn_group(cs, i, X86_GRP_RET) || cs_insn_group(cs, i, X86_GRP_INT) ||
	       i->id == X86_INS_SYSCALL || i->id == X86_INS_UD2 || i->id == X86_INS_HLT;
}

/* Target of a direct jump or call; 0: none. */
static uint64_t target(csh cs, const cs_insn *i)
{
	const cs_x86 *x = &i->detail->x86;

	if ((!cs_insn_group(cs, i, X86_GRP_JUMP) && !cs_insn_group(cs, i, X86_GRP_CALL)) ||
	    x->op_count != 1 || x->operands[0].type != X86_OP_IMM)
		return 0;
	return (uint64_t)x->operands[0].imm;
}

/* Does it leave the first n arguments and the stack alone? sub $n,%rsp is counted in *pushed. */
static bool is_harmless(csh cs, const cs_insn *i, unsigned int n_args, uint32_t *pushed)
{
	cs_regs read, written;
	uint8_t n_read, n_written;
	const cs_x86 *x = &i->detail->x86;

	if (is_endbr(i))
		return true;
	if (is_branch(cs, i) || cs_regs_access(cs, i, read, &n_read, written, &n_written))
		return false;
	for (uint8_t w = 0; w < n_written; w++) {
		if (written[w] == X86_REG_RSP || written[w] == X86_REG_ESP) {
			if (i->id != X86_INS_SUB || x->op_count != 2 ||
			    x->operands[1].type != X86_OP_IMM || x->operands[1].imm < 0 ||
			    x->operands[1].imm > PUSHED_MAX || x->operands[1].imm % 8)
				return false;
			*pushed += (uint32_t)x->operands[1].imm;
			if (*pushed > PUSHED_MAX)
				return false;
		}
		for (unsigned int a = 0; a < n_args && a < 3; a++) {
			for (int k = 0; k < 4; k++) {
				if (written[w] == arguments[a][k])
					return false;
			}
		}
	}
	return true;
}

static csh disassembler(void)
{
	csh cs;

	if (cs_open(CS_ARCH_X86, CS_MODE_64, &cs))
		return 0;
	cs_option(cs, CS_OPT_DETAIL, CS_OPT_ON);
	return cs;
}

/* Does something in the function jump to (from, to]? Then the probe would count a loop. */
static bool is_jumped_to(csh cs, const uint8_t *code, size_t size, uint64_t address, uint64_t from,
			 uint64_t to)
{
	cs_insn *i = cs_malloc(cs);
	bool found = false;

	if (!i)
		return true;
	while (!found && size) {
		if (cs_disasm_iter(cs, &code, &size, &address, i)) {
			uint64_t at = target(cs, i);

			found = at > from && at <= to;
		} else { /* what is no instruction is passed over */
			code++;
			size--;
			address++;
		}
	}
	cs_free(i, 1);
	return found;
}

void placement__find(const uint8_t *code, size_t size, uint64_t address, unsigned int n_args,
		     bool at_return, struct placement *p)
{
	const uint8_t *at = code;
	size_t left = size;
	uint64_t pc = address;
	uint32_t pushed = 0;
	cs_insn *i = NULL;
	csh cs;

	entry(p);
	cs = disassembler();
	if (!cs)
		return;
	i = cs_malloc(cs);
	for (int n = 0; i && n < LOOK_AT && cs_disasm_iter(cs, &at, &left, &pc, i); n++) {
		if (is_emulated(i)) {
			if (is_jumped_to(cs, code, size, address, address, i->address))
				break;
			p->offset = (uint32_t)(i->address - address);
			p->pushed = pushed;
			p->emulated = true;
			snprintf(p->instruction, sizeof(p->instruction), "%.15s", i->mnemonic);
			break;
		}
		if (!is_harmless(cs, i, n_args, &pushed) || (at_return && pushed))
			break;
	}
	if (i)
		cs_free(i, 1);
	cs_close(&cs);
}

bool placement__jumps_out(const uint8_t *code, size_t size, uint64_t address)
{
	uint64_t start = address, end = address + size;
	cs_insn *i = NULL;
	bool out = false;
	csh cs = disassembler();

	if (!cs)
		return true;
	i = cs_malloc(cs);
	while (i && !out && cs_disasm_iter(cs, &code, &size, &address, i)) {
		uint64_t to = target(cs, i);

		if (cs_insn_group(cs, i, X86_GRP_JUMP))
			out = to < start || to >= end; /* 0: through a register or memory */
	}
	out |= !i || size; /* not all of it are instructions */
	if (i)
		cs_free(i, 1);
	cs_close(&cs);
	return out;
}

uint64_t placement__passes_to(const uint8_t *code, size_t size, uint64_t address, bool *jumps)
{
	uint64_t to = 0;
	cs_insn *i = NULL;
	bool first = true;
	csh cs = disassembler();

	*jumps = false;
	if (!cs)
		return 0;
	i = cs_malloc(cs);
	while (i && cs_disasm_iter(cs, &code, &size, &address, i)) {
		if (is_endbr(i))
			continue;
		if (cs_insn_group(cs, i, X86_GRP_RET))
			break;
		if (i->id == X86_INS_JMP || i->id == X86_INS_CALL) {
			to = target(cs, i);
			*jumps = first && i->id == X86_INS_JMP;
			break;
		}
		first = false;
	}
	if (i)
		cs_free(i, 1);
	cs_close(&cs);
	return to;
}

#else

/*
 * The entry only, where arguments and return address are in their registers. What the kernel
 * carries out itself of arm64: arm_probe_decode_insn() in arch/arm64/kernel/probes/decode-insn.c,
 * as of the oldest kernels, and with no instruction that is refused.
 */
static bool is_emulated(uint32_t i)
{
#if defined(__aarch64__)
	return (i & 0x7c000000) == 0x14000000 || /* b, bl */
	       (i & 0xff000010) == 0x54000000 || /* b.cond */
	       (i & 0x7c000000) == 0x34000000 || /* cbz, cbnz, tbz, tbnz */
	       (i & 0x1f000000) == 0x10000000 || /* adr, adrp */
	       (i & 0xbf000000) == 0x18000000 || /* ldr of a literal */
	       (i & 0xff9ffc1f) == 0xd61f0000;	 /* br, blr, ret */
#else
	(void)i;
	return false;
#endif
}

bool placement__jumps_out(const uint8_t *code, size_t size, uint64_t address)
{
	(void)code, (void)size, (void)address;
	return true;
}

void placement__find(const uint8_t *code, size_t size, uint64_t address, unsigned int n_args,
		     bool at_return, struct placement *p)
{
	uint32_t first;

	(void)address, (void)n_args, (void)at_return;
	entry(p);
	if (size < sizeof(first))
		return;
	memcpy(&first, code, sizeof(first));
	p->emulated = is_emulated(first);
}

uint64_t placement__passes_to(const uint8_t *code, size_t size, uint64_t address, bool *jumps)
{
	(void)code, (void)size, (void)address;
	*jumps = false;
	return 0;
}

#endif
