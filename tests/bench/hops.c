// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * hops PAIRS PORT[,PORT...] CMD: what recording hops costs. While CMD runs (again and again; it
 * makes requests through servers on these ports), slices take turns in which the exchanges are
 * measured, their hops are recorded, and the readers' wait for a processor, too. BPF run time of
 * all programs for a request, as the kernel counts it, and by how much it is more within a turn.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "model/estimate.h"
#include "model/snapshot.h"
#include "probe/wire.h"

#define PAIRS_MAX 64
#define SETTLE_US 100000
#define SLICE_US  400000

enum mode { PLAIN = 0, HOPS = 1, SCHED = 2, MODES = 3 };

static const char *const names[MODES] = {"exchanges", "and hops", "and run queues"};

/* Where it goes: they run for a segment that leaves, one that comes in, and a read. */
static const char *const parts[] = {"wire_egress", "wire_ingress", "wire_read"};

#define PARTS (sizeof(parts) / sizeof(parts[0]))

struct slice {
	double ns;	    /* of a request */
	double part[PARTS]; /* of that; the rest are programs that the scheduler runs */
	double requests;    /* as its client saw them */
	double complete;    /* of them, those whose hops are known */
};

static void set_ports(struct wire_opts *o, const char *list)
{
	char *end;

	for (; o->n_ports < WIRE_MAX_PORTS; list = end + 1) {
		o->ports[o->n_ports++] = (uint16_t)strtoul(list, &end, 10);
		if (*end != ',')
			break;
	}
}

static double of_clients(const struct snapshot *s)
{
	double n = 0;

	for (size_t i = 0; i < s->n_series; i++) {
		if (s->series[i].key.role == ROLE_CLIENT)
			n += (double)s->series[i].count;
	}
	return n;
}

static double of_programs(const struct snapshot *s)
{
	double ns = 0;

	for (size_t i = 0; i < s->n_programs; i++) {
		const char *name = s->programs[i].name;

		/* User space asks for these, however many requests there are. */
		if (strcmp(name, "wire_sweep") != 0 && strcmp(name, "wire_owners") != 0)
			ns += (double)s->programs[i].ns;
	}
	return ns;
}

static double of_program(const struct snapshot *s, const char *name)
{
	for (size_t i = 0; i < s->n_programs; i++) {
		if (!strcmp(s->programs[i].name, name))
			return (double)s->programs[i].ns;
	}
	return 0;
}

static int measure(struct wire *w, struct slice *out)
{
	struct snapshot before, after, d;
	int err = wire__attach(w);

	if (err)
		return err;
	usleep(SETTLE_US);
	err = wire__read(w, &before);
	if (err)
		return err;
	usleep(SLICE_US);
	err = wire__read(w, &after);
	wire__detach(w);
	if (!err)
		err = snapshot__delta(&d, &after, &before);
	if (err)
		return err;
	out->requests = of_clients(&d);
	out->ns = out->requests > 0 ? of_programs(&d) / out->requests : 0;
	for (size_t i = 0; i < PARTS; i++)
		out->part[i] = out->requests > 0 ? of_program(&d, parts[i]) / out->requests : 0;
	out->complete = (double)d.hops.count[HOP_COMPLETE];
	snapshot__free(&before);
	snapshot__free(&after);
	snapshot__free(&d);
	return 0;
}

/* Runs CMD until it is told to stop. */
static pid_t start(const char *cmd)
{
	char line[4096];
	pid_t pid = fork();

	if (pid)
		return pid;
	setpgid(0, 0);
	snprintf(line, sizeof(line), "while %s; do :; done", cmd);
	execl("/bin/sh", "sh", "-c", line, (char *)NULL);
	_exit(127);
}

static double v[MODES][PAIRS_MAX], part[MODES][PARTS][PAIRS_MAX];

static void tell(const double share[MODES], size_t n)
{
	for (int m = 0; m < MODES; m++) {
		struct estimate e = estimate__hodges_lehmann(v[m], n);

		printf("%-16s %6.0f ns a request (%.0f to %.0f)", names[m], e.value, e.lo, e.hi);
		if (m) {
			e = estimate__percent_robust(v[PLAIN], v[m], n);
			printf(", %+.1f %% (%.1f to %.1f); hops known of %.2f %%", e.value, e.lo,
			       e.hi, 100 * share[m]);
		}
		for (size_t i = 0; i < PARTS; i++) {
			e = estimate__hodges_lehmann(part[m][i], n);
			printf("%s %s %.0f", i ? "," : ";", parts[i], e.value);
		}
		printf("\n");
	}
}

int main(int argc, char **argv)
{
	double seen[MODES] = {0}, complete[MODES] = {0}, share[MODES];
	struct wire *w[MODES] = {NULL};
	size_t pairs, n = 0;
	pid_t load;
	int err = 0;

	if (argc != 4) {
		fprintf(stderr, "usage: hops PAIRS PORT[,PORT...] CMD\n");
		return 2;
	}
	pairs = strtoul(argv[1], NULL, 10);
	if (!pairs || pairs > PAIRS_MAX)
		pairs = PAIRS_MAX;
	for (int m = 0; !err && m < MODES; m++) {
		struct wire_opts o = {.hops = m >= HOPS, .sched = m == SCHED};

		set_ports(&o, argv[2]);
		err = wire__open(&w[m], &o);
		err = err ? err : wire__statistics(w[m], true);
	}
	load = err ? -1 : start(argv[3]);
	for (size_t i = 0; !err && i < pairs; i++) {
		struct slice s[MODES];

		for (int k = 0; !err && k < MODES; k++) {
			int m = (int)(i + (size_t)k) % MODES;

			err = measure(w[m], &s[m]);
			seen[m] += err ? 0 : s[m].requests;
			complete[m] += err ? 0 : s[m].complete;
		}
		if (err || !s[PLAIN].requests || !s[HOPS].requests || !s[SCHED].requests)
			continue;
		for (int m = 0; m < MODES; m++) {
			v[m][n] = s[m].ns;
			for (size_t k = 0; k < PARTS; k++)
				part[m][k][n] = s[m].part[k];
		}
		n++;
	}
	if (load > 0) {
		kill(-load, SIGTERM);
		waitpid(load, NULL, 0);
	}
	for (int m = 0; m < MODES; m++) {
		share[m] = seen[m] > 0 ? complete[m] / seen[m] : 0;
		wire__close(w[m]);
	}
	if (err || n < 2) {
		fprintf(stderr, "hops: nothing was measured: %s\n",
			err ? strerror(-err) : "no requests passed");
		return 1;
	}
	printf("%zu turns of %d ms each:\n", n, SLICE_US / 1000);
	tell(share, n);
	return 0;
}
