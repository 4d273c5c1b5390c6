// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What the numbers were measured on. */
#include <stdio.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <bpf/libbpf.h>
#include <nats/nats.h> /* its version; everything else of it is src/load */

#include "bench/bench.h"
#include "bench/environment.h"
#include "out/json.h"
#include "probe/privileges.h"
#include "stack/file.h"

/* "" when /proc/cpuinfo names none (arm64). */
static void cpu_model(char *buf, size_t size)
{
	char line[512];
	FILE *f = fopen("/proc/cpuinfo", "re");

	buf[0] = '\0';
	while (f && !buf[0] && fgets(line, sizeof(line), f)) {
		char *value = strchr(line, ':');

		if (!value || strncmp(line, "model name", 10) != 0)
			continue;
		value += 1 + strspn(value + 1, " ");
		value[strcspn(value, "\n")] = '\0';
		snprintf(buf, size, "%s", value);
	}
	if (f)
		fclose(f);
}

const char *environment__cgroup(const struct cgroup_mounts *m, const struct cgroup *c)
{
	size_t n = strlen(m->v2);

	return strncmp(c->v2, m->v2, n) ? c->v2 : c->v2 + n;
}

const char *bench__cgroup_name(const struct bench *b, const struct cgroup *c)
{
	return environment__cgroup(&b->course.mounts, c);
}

void environment__add_process(json_t *list, const char *name, const char *kind,
			      const struct child *c, const char *address, const char *cgroup)
{
	json_array_append_new(
		list,
		json_pack("{s:o,s:s,s:o,s:o,s:o}", "name", session__text(name), "kind", kind, "pid",
			  c && c->started ? json_integer(c->started) : json_null(), "address",
			  session__text(address), "cgroup", session__text(cgroup)));
}

static void add_brokers(const struct bench *b, json_t *list)
{
	char name[32], address[URL_HOST_LEN + 16];
	size_t i;

	for (i = 0; i < b->stack.n_nodes; i++) {
		const struct nats_node *n = &b->stack.nodes[i];

		snprintf(address, sizeof(address), "127.0.0.1:%u", n->client);
		environment__add_process(list, n->name, "nats-server", &n->child, address,
					 bench__cgroup_name(b, &n->cgroup));
	}
	for (i = 0; i < b->course.opts->n_urls; i++) {
		snprintf(name, sizeof(name), "broker %zu", i + 1);
		environment__add_process(
			list, name, "nats-server, not ours", NULL,
			url__address(&b->course.opts->urls[i], address, sizeof(address)), NULL);
	}
	for (i = 0; i < b->stack.n_forwards; i++) {
		const struct forward *f = &b->stack.forwards[i];

		snprintf(address, sizeof(address), "127.0.0.1:%u", f->port);
		environment__add_process(list, f->name, "socat", &f->child, address,
					 bench__cgroup_name(b, &f->cgroup));
	}
}

static json_t *topology(const struct bench *b)
{
	json_t *list = json_array();
	size_t i;

	add_brokers(b, list);
	for (i = 0; i < b->n_services; i++)
		environment__add_process(list, b->services[i].name, "service",
					 &b->services[i].remote.child, NULL,
					 bench__cgroup_name(b, &b->services[i].cgroup));
	for (i = 0; i < b->scenario->n_paths; i++) {
		enum path p = b->scenario->paths[i];

		environment__add_process(list, b->rpc[p].child.name, "load", &b->rpc[p].child, NULL,
					 bench__cgroup_name(b, &b->load));
		if (b->scenario->has_events && !b->course.opts->ab_only)
			environment__add_process(list, b->publisher[p].child.name, "load",
						 &b->publisher[p].child, NULL,
						 bench__cgroup_name(b, &b->load));
	}
	if (b->scenario->has_events && !b->course.opts->ab_only)
		environment__add_process(list, b->subscriber.child.name, "load",
					 &b->subscriber.child, NULL,
					 bench__cgroup_name(b, &b->load));
	return list;
}

json_t *environment__host(const struct cgroup_mounts *m)
{
	char cpu[256], libbpf[32];
	const char *lockdown = lockdown__mode();
	struct sysinfo info = {0};
	struct utsname uts = {0};

	uname(&uts);
	sysinfo(&info);
	cpu_model(cpu, sizeof(cpu));
	snprintf(libbpf, sizeof(libbpf), "%s", libbpf_version_string());
	return json_pack("{s:o,s:o,s:o,s:I,s:I,s:o,s:s,s:o}", "kernel", session__text(uts.release),
			 "arch", session__text(uts.machine), "cpu_model",
			 session__text(cpu[0] ? cpu : NULL), "cpus",
			 (json_int_t)sysconf(_SC_NPROCESSORS_ONLN), "memory_bytes",
			 (json_int_t)info.totalram * (json_int_t)info.mem_unit, "lockdown",
			 session__text(strcmp(lockdown, "unknown") ? lockdown : NULL), "cgroup",
			 m->v1_memory[0] ? "v1+v2" : "v2", "libbpf",
			 session__text(libbpf[0] == 'v' ? libbpf + 1 : libbpf));
}

json_t *bench__environment(const struct bench *b)
{
	json_t *e = environment__host(&b->course.mounts);

	session__put(&e, "natsc", session__text(nats_GetVersion()));
	session__put(&e, "nats_server", session__text(b->nats_version[0] ? b->nats_version : NULL));
	session__put(&e, "forwarder",
		     session__text(b->forwarder_version[0] ? b->forwarder_version : NULL));
	session__put(&e, "topology", topology(b));
	return e;
}
