// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What the whole machine did: others on it take what the containers then lack. */
#include <math.h>
#include <stdio.h>
#include <unistd.h>

#include "bench/machine.h"
#include "stack/file.h"

struct machine machine__read(void)
{
	struct machine m = {NAN, NAN, NAN};
	double user, nice, system, idle, wait, irq, softirq, steal;
	char text[512];

	if (file__read("/proc/stat", text, sizeof(text)) < 0 ||
	    sscanf(text, "cpu %lf %lf %lf %lf %lf %lf %lf %lf", &user, &nice, &system, &idle, &wait,
		   &irq, &softirq, &steal) != 8)
		return m;
	m.busy = user + nice + system + irq + softirq;
	m.stolen = steal;
	m.idle = idle + wait;
	return m;
}

static double percent(double ticks, double seconds)
{
	return seconds > 0 ? 100 * ticks / (double)sysconf(_SC_CLK_TCK) / seconds : NAN;
}

struct machine machine__percent(const struct machine *from, const struct machine *to,
				double seconds)
{
	return (struct machine){.busy = percent(to->busy - from->busy, seconds),
				.stolen = percent(to->stolen - from->stolen, seconds),
				.idle = percent(to->idle - from->idle, seconds)};
}
