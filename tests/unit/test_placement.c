// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "probe/placement.h"

#define AT 0x401000ull

struct example {
	const char *what, *code;
	size_t size;
	unsigned int n_args;
	bool at_return;
	uint32_t offset, pushed;
	const char *instruction; /* NULL: at the entry, stepped */
};

#define CODE(bytes) bytes, sizeof(bytes) - 1

/* Bytes as gcc and clang made them; those of libraries are Debian 12's. */
static const struct example examples[] = {
	{"push at the entry", CODE("\x41\x54\x55\x53"), 1, true, 0, 0, "push"},
	{"endbr64 is stepped, push behind it is not", CODE("\xf3\x0f\x1e\xfa\x55"), 1, true, 4, 0,
	 "push"},
	{"glibc's free: test %rdi,%rdi; je", CODE("\x48\x85\xff\x0f\x84\xbf\x00\x00\x00\x55"), 1,
	 false, 3, 0, "je"},
	{"glibc's memalign: cmpb; je short", CODE("\x80\x3d\x71\x0e\x14\x00\x00\x74\x07"), 2, true,
	 7, 0, "je"},
	{"nop of five bytes", CODE("\x0f\x1f\x44\x00\x00\xc3"), 1, true, 0, 0, "nop"},
	{"a nop that the kernel does not know: cs nopw",
	 CODE("\x2e\x66\x0f\x1f\x84\x00\x00\x00\x00\x00\xc3"), 1, true, 0, 0, NULL},
	{"jmp", CODE("\xeb\x10"), 1, true, 0, 0, "jmp"},
	{"jmp through memory is stepped", CODE("\xff\x25\x00\x10\x00\x00"), 1, true, 0, 0, NULL},
	{"sub $24,%rsp; call: the return address has moved",
	 CODE("\x48\x83\xec\x18\xe8\x00\x00\x00\x00"), 1, false, 4, 24, "call"},
	{"the same, for a return probe", CODE("\x48\x83\xec\x18\xe8\x00\x00\x00\x00"), 1, true, 0,
	 0, NULL},
	{"mov %rdi,%rsi; mov $0,%edi; push: the argument is gone",
	 CODE("\x48\x89\xfe\xbf\x00\x00\x00\x00\x55"), 1, true, 0, 0, NULL},
	{"mov %rsi,%rdi; push: half of the arguments is gone", CODE("\x48\x89\xf7\x55"), 2, true, 0,
	 0, NULL},
	{"xor %edx,%edx; push, where the third is not read", CODE("\x31\xd2\x55"), 2, true, 2, 0,
	 "push"},
	{"xor %edx,%edx; push, where it is", CODE("\x31\xd2\x55"), 3, true, 0, 0, NULL},
	{"mul %rsi writes %rdx and %rax", CODE("\x48\xf7\xe6\x55"), 3, true, 0, 0, NULL},
	{"xchg %rdi,%rax", CODE("\x48\x97\x55"), 1, true, 0, 0, NULL},
	{"push $1 is stepped, and moves the stack", CODE("\x6a\x01\x55"), 1, false, 0, 0, NULL},
	{"lea -8(%rsp),%rsp moves it too", CODE("\x48\x8d\x64\x24\xf8\x55"), 1, false, 0, 0, NULL},
	{"ret ends it", CODE("\x31\xc0\xc3\x55"), 1, true, 0, 0, NULL},
	{"syscall ends it", CODE("\x0f\x05\x55"), 1, true, 0, 0, NULL},
	{"a loop back to the push", CODE("\x48\x85\xff\x55\x90\xeb\xfc"), 1, true, 0, 0, NULL},
	{"a loop back to before it", CODE("\x48\x85\xff\x48\x85\xff\x55\x90\x75\xf9"), 1, true, 0,
	 0, NULL},
	{"a jump to behind it", CODE("\x48\x85\xff\x55\x90\xeb\xfd"), 1, true, 3, 0, "push"},
	{"no code", CODE(""), 1, true, 0, 0, NULL},
	{"half an instruction", CODE("\x48"), 1, true, 0, 0, NULL},
	{"no instruction", CODE("\x06\x07"), 1, true, 0, 0, NULL},
};

static void test_find(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(examples) / sizeof(examples[0]); i++) {
		const struct example *e = &examples[i];
		struct placement p;

		placement__find((const uint8_t *)e->code, e->size, AT, e->n_args, e->at_return, &p);
		if (p.offset != e->offset || p.pushed != e->pushed ||
		    p.emulated != !!e->instruction ||
		    strcmp(p.instruction, e->instruction ? e->instruction : "entry"))
			fail_msg("%s: +%u, pushed %u, %s", e->what, p.offset, p.pushed,
				 p.instruction);
	}
}

/* Whatever the bytes: it ends, and the place is within them. */
static void test_any_bytes(void **state)
{
	uint32_t random = 1;
	uint8_t code[64];

	(void)state;
	for (int n = 0; n < 20000; n++) {
		struct placement p;
		size_t size;
		bool jumps;

		for (size_t i = 0; i < sizeof(code); i++) {
			random = random * 1664525 + 1013904223;
			code[i] = (uint8_t)(random >> 24);
		}
		size = random >> 8 & 63;
		placement__find(code, size, AT, 3, n & 1, &p);
		assert_true(p.offset == 0 || p.offset < size);
		assert_true(!(n & 1) || !p.pushed);
		placement__passes_to(code, size, AT, &jumps);
	}
}

static void passes(const char *code, size_t size, uint64_t to, bool bare)
{
	bool jumps;

	assert_int_equal(placement__passes_to((const uint8_t *)code, size, AT, &jumps), to);
	assert_int_equal(jumps, bare);
}

static void test_passes_to(void **state)
{
	(void)state;
	passes(CODE("\xe9\x00\x01\x00\x00"), AT + 0x105, true);
	passes(CODE("\xf3\x0f\x1e\xfa\xeb\x10"), AT + 0x16, true);
	passes(CODE("\x48\x89\xf7\xeb\x10"), AT + 0x15, false); /* with another argument */
	/* operator new: push %rbx; mov $1,%eax; call malloc */
	passes(CODE("\x53\xb8\x01\x00\x00\x00\xe8\x00\x01\x00\x00"), AT + 0x10b, false);
	/* jemalloc's: a fast path that returns comes before the call */
	passes(CODE("\x48\x81\xff\x00\x10\x00\x00\x77\x01\xc3\xe8\x00\x01\x00\x00"), 0, false);
	passes(CODE("\xff\x25\x00\x10\x00\x00"), 0, true); /* to who knows where */
	passes(CODE(""), 0, false);
}

static void test_jumps_out(void **state)
{
	(void)state;
#define OUT(code) placement__jumps_out((const uint8_t *)(code), sizeof(code) - 1, AT)
	assert_false(OUT("\x55\x48\x85\xff\x74\x01\xc3\xc3"));
	assert_false(OUT("\xe8\x00\x01\x00\x00\xc3")); /* a call comes back */
	assert_true(OUT("\xe9\x00\x01\x00\x00"));
	assert_true(OUT("\x74\x7f\xc3"));
	assert_true(OUT("\x90\xeb\xf0"));
	assert_true(OUT("\xff\xe0"));		      /* jmp *%rax */
	assert_true(OUT("\xff\x25\x00\x10\x00\x00")); /* through memory */
	assert_true(OUT("\xc3\x06"));		      /* who knows */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_find),
		cmocka_unit_test(test_any_bytes),
		cmocka_unit_test(test_passes_to),
		cmocka_unit_test(test_jumps_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
