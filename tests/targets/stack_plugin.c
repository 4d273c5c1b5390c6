// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* A library that stack_plain opens when it runs. */
#include <string.h>

void stack_plugin(void (*mark)(void));

__attribute__((noinline)) static int inner(void (*mark)(void), int n)
{
	volatile char room[200];

	memset((char *)room, n, sizeof(room));
	mark();
	return room[n];
}

void stack_plugin(void (*mark)(void))
{
	volatile int r = inner(mark, 7);

	(void)r;
}
