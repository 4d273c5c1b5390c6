/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "load/schedule.h"

#include <errno.h>
#include <sys/prctl.h>
#include <time.h>

#include "stack/clock.h"

uint64_t schedule__at(const struct schedule *s, uint64_t i)
{
	return s->start_ns + (uint64_t)((double)i * 1e9 / s->rate);
}

void schedule__sleep_until(uint64_t ns)
{
	struct timespec t = {
		.tv_sec = (time_t)(ns / NS_PER_S),
		.tv_nsec = (long)(ns % NS_PER_S),
	};

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR)
		;
}

void schedule__tighten(void)
{
	/* Cannot fail for a value above 0; if it did, sends would be up to 50 us later. */
	prctl(PR_SET_TIMERSLACK, 1UL);
}
