// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * programs OBJECT[@VARIANT[:VARIABLE=VALUE,...]]...: loads every program of every BPF object alone,
 * attaches it and lets go of it again. A line for each on stdout, fields separated by tabs:
 *
 *	object  program  variant  loaded|refused|absent  attached|refused|-  instructions  message
 *
 * PROGRAMS_LOG=LINES in the environment: as many of the verifier's last lines of those that are
 * refused, on stderr. PROGRAMS_ONLY=NAME: this program alone.
 *
 * Instructions are those that the verifier went through, by its own log (Linux 4.x on), also where
 * it refused. "absent": the kernel lacks this kind of attachment altogether, or the tracepoint.
 * VARIABLE is set before loading, as the commands do: an integer in .rodata.
 */
#define _GNU_SOURCE
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "probe/cgroup2.h"
#include "probe/uprobes.h"

#define LOG_BYTES (16u << 20)
#define LOG_STATS 4 /* BPF_LOG_STATS: errors and the last lines, no instructions */

static char *log_text;

__attribute__((noinline)) int programs_target(int n);
int programs_target(int n)
{
	asm volatile("" : "+r"(n));
	return n + 1;
}

static int silent(enum libbpf_print_level level, const char *fmt, va_list args)
{
	(void)level, (void)fmt, (void)args;
	return 0;
}

/* ---- variables */

static int set_variable(struct bpf_object *obj, const char *name, long value)
{
	struct bpf_map *map = bpf_object__find_map_by_name(obj, ".rodata");
	const struct btf *btf = bpf_object__btf(obj);
	const struct btf_var_secinfo *v;
	const struct btf_type *sec;
	size_t size;
	char *data;
	int id;

	bpf_object__for_each_map(map, obj)
	{
		if (!strstr(bpf_map__name(map), ".rodata"))
			continue;
		/* Ours to change until the object is loaded. */
		data = (char *)bpf_map__initial_value(map, &size);
		id = btf__find_by_name_kind(btf, ".rodata", BTF_KIND_DATASEC);
		if (!data || id < 0)
			continue;
		sec = btf__type_by_id(btf, (uint32_t)id);
		v = btf_var_secinfos(sec);
		for (int i = 0; i < btf_vlen(sec); i++, v++) {
			const struct btf_type *t = btf__type_by_id(btf, v->type);

			if (strcmp(btf__name_by_offset(btf, t->name_off), name))
				continue;
			memcpy(data + v->offset, &value,
			       v->size < sizeof(value) ? v->size : sizeof(value));
			return 0;
		}
	}
	fprintf(stderr, "programs: no variable '%s'\n", name);
	return -ENOENT;
}

/* "a=1,b=2" */
static int set_variables(struct bpf_object *obj, const char *list)
{
	char copy[512], *save = NULL, *one, *eq;

	snprintf(copy, sizeof(copy), "%s", list);
	for (one = strtok_r(copy, ",", &save); one; one = strtok_r(NULL, ",", &save)) {
		eq = strchr(one, '=');
		if (!eq)
			return -EINVAL;
		*eq = '\0';
		if (set_variable(obj, one, strtol(eq + 1, NULL, 0)))
			return -ENOENT;
	}
	return 0;
}

/* ---- one program */

struct result {
	const char *object, *program;
	char variant[64];
	bool loaded, absent;
	const char *attached;
	long instructions;
	char message[512];
};

/* "processed N insns (limit ...", and the line before it, which says what was wrong. */
static void read_log(struct result *r)
{
	char *save = NULL, *line, *last = NULL;

	r->instructions = -1;
	for (line = strtok_r(log_text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		if (sscanf(line, "processed %ld insns", &r->instructions) == 1)
			break;
		if (strncmp(line, "verification time", 17) && strncmp(line, "stack depth", 11))
			last = line;
	}
	if (!r->loaded && last && !r->message[0])
		snprintf(r->message, sizeof(r->message), "%s", last);
	for (char *c = r->message; *c; c++) {
		if (*c == '\t' || *c == '\n')
			*c = ' ';
	}
}

/* The verifier's last words; the log is spoilt by read_log(). */
static void print_tail(const char *name)
{
	const char *want = getenv("PROGRAMS_LOG"), *at = log_text + strlen(log_text);

	if (!want)
		return;
	for (long n = strtol(want, NULL, 10); n >= 0 && at > log_text; at--)
		n -= *at == '\n';
	fprintf(stderr, "%s:%s\n", name, at);
}

static struct bpf_map *storage_map(struct bpf_object *obj)
{
	struct bpf_map *map;

	bpf_object__for_each_map(map, obj)
	{
		if (bpf_map__type(map) == BPF_MAP_TYPE_SK_STORAGE)
			return map;
	}
	return NULL;
}

static struct bpf_link *attach_iterator(struct bpf_object *obj, struct bpf_program *prog)
{
	union bpf_iter_link_info info = {};
	LIBBPF_OPTS(bpf_iter_attach_opts, opts);
	const struct bpf_map *map = NULL;

	if (strstr(bpf_program__section_name(prog), "sk_storage_map"))
		map = storage_map(obj);
	else if (strstr(bpf_program__section_name(prog), "bpf_map_elem"))
		map = bpf_object__find_map_by_name(obj, "tls_conns"); /* the only one there is */
	if (map) {
		info.map.map_fd = (uint32_t)bpf_map__fd(map);
		opts.link_info = &info;
		opts.link_info_len = sizeof(info);
	}
	return bpf_program__attach_iter(prog, &opts);
}

static int attach_uprobe(const struct bpf_program *prog, enum uprobe_how how, enum uprobe_end end)
{
	struct uprobe_site site = {.cookie = 1};
	struct uprobes u = {};
	char line[512];
	unsigned long start, stop, off, at = (unsigned long)programs_target;
	FILE *f = fopen("/proc/self/maps", "re");
	int err;

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx %*s %lx", &start, &stop, &off) == 3 && at >= start &&
		    at < stop)
			site.offset = at - start + off;
	}
	if (f)
		fclose(f);
	/* Without the cookie: a kernel may have uprobes and no cookies, which its programs show. */
	err = uprobes__attach(&u, prog, how, end, "/proc/self/exe", getpid(), &site, 1);
	if (!err && programs_target(1) != 2)
		err = -EFAULT;
	uprobes__detach(&u);
	return err;
}

static int attach(struct bpf_object *obj, struct bpf_program *prog, enum uprobe_how how,
		  enum uprobe_end end)
{
	struct bpf_link *link = NULL;
	int fd = -1, err = 0;

	switch (bpf_program__type(prog)) {
	case BPF_PROG_TYPE_KPROBE: return attach_uprobe(prog, how, end);
	case BPF_PROG_TYPE_CGROUP_SKB:
		fd = open(cgroup2__mount(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		link = bpf_program__attach_cgroup(prog, fd);
		break;
	case BPF_PROG_TYPE_TRACING:
		if (bpf_program__expected_attach_type(prog) == BPF_TRACE_ITER)
			link = attach_iterator(obj, prog);
		else
			link = bpf_program__attach(prog);
		break;
	default: link = bpf_program__attach(prog);
	}
	if (!link)
		err = errno ? -errno : -EINVAL;
	bpf_link__destroy(link);
	if (fd >= 0)
		close(fd);
	return err;
}

static void print(const struct result *r)
{
	printf("%s\t%s\t%s\t%s\t%s\t", r->object, r->program, r->variant,
	       r->absent   ? "absent"
	       : r->loaded ? "loaded"
			   : "refused",
	       r->attached);
	if (r->instructions >= 0)
		printf("%ld", r->instructions);
	else
		printf("-");
	printf("\t%s\n", r->message);
	fflush(stdout);
}

/* Programs for other things have theirs. */
static bool has_tracepoint(const struct bpf_program *prog)
{
	const char *section = bpf_program__section_name(prog);

	return strncmp(section, "tp_btf/", 7) ||
	       libbpf_find_vmlinux_btf_id(section + 7, BPF_TRACE_RAW_TP) > 0;
}

/* The object anew with this program only: what one lacks is not another's fault. */
static int try_one(const char *path, const char *object, const char *variables, const char *name,
		   const char *variant, enum uprobe_how how)
{
	struct result r = {.object = object, .program = name, .attached = "-"};
	enum uprobe_end end = strstr(name, "return")  ? UPROBE_RETURN
			      : how == UPROBE_SESSION ? UPROBE_BOTH
						      : UPROBE_ENTRY;
	struct bpf_object *obj = bpf_object__open_file(path, NULL);
	struct bpf_program *p, *prog = NULL;
	int err;

	if (!obj)
		return -errno;
	snprintf(r.variant, sizeof(r.variant), "%s", variant);
	bpf_object__for_each_program(p, obj)
	{
		bool is = !strcmp(bpf_program__name(p), name);

		bpf_program__set_autoload(p, is);
		prog = is ? p : prog;
	}
	err = set_variables(obj, variables);
	if (err)
		goto out;
	log_text[0] = '\0';
	bpf_program__set_log_level(prog, getenv("PROGRAMS_LOG") ? LOG_STATS | 1 : LOG_STATS);
	bpf_program__set_log_buf(prog, log_text, LOG_BYTES);
	if (bpf_program__type(prog) == BPF_PROG_TYPE_KPROBE)
		uprobes__prepare(prog, how, end);
	r.absent = !has_tracepoint(prog) ||
		   (bpf_program__type(prog) == BPF_PROG_TYPE_KPROBE && how > uprobes__best());
	if (r.absent) {
		r.instructions = -1;
		print(&r);
		goto out;
	}
	err = bpf_object__load(obj);
	r.loaded = !err;
	if (err && !log_text[0])
		snprintf(r.message, sizeof(r.message), "%s", strerror(-err));
	if (err)
		print_tail(name);
	read_log(&r);
	if (!err) {
		err = attach(obj, prog, how, end);
		r.attached = err ? "refused" : "attached";
		if (err)
			snprintf(r.message, sizeof(r.message), "attach: %s", strerror(-err));
	}
	print(&r);
	err = 0;
out:
	bpf_object__close(obj);
	return err;
}

static int try_program(const char *path, const char *object, const char *given,
		       const char *variables, const struct bpf_program *prog)
{
	static const struct {
		const char *name;
		enum uprobe_how how;
	} ways[] = {{"session", UPROBE_SESSION}, {"perf", UPROBE_PERF}, {"multi", UPROBE_MULTI}};
	const char *name = bpf_program__name(prog);
	bool session = strstr(name, "session");
	char variant[64];
	int err = 0;

	if (bpf_program__type(prog) != BPF_PROG_TYPE_KPROBE)
		return try_one(path, object, variables, name, given, UPROBE_PERF);
	for (size_t i = session ? 0 : 1; i < (session ? 1 : 3) && !err; i++) {
		snprintf(variant, sizeof(variant), "%s%s%s", strcmp(given, "-") ? given : "",
			 strcmp(given, "-") ? ", " : "", ways[i].name);
		err = try_one(path, object, variables, name, variant, ways[i].how);
	}
	return err;
}

static int try_object(const char *arg)
{
	char copy[1024], object[64], *variant, *variables;
	const char *only = getenv("PROGRAMS_ONLY");
	struct bpf_program *p;
	struct bpf_object *obj;
	const char *base;
	int err = 0;

	snprintf(copy, sizeof(copy), "%s", arg);
	variant = strchr(copy, '@');
	variables = variant ? strchr(variant, ':') : NULL;
	if (variant)
		*variant++ = '\0';
	if (variables)
		*variables++ = '\0';
	base = strrchr(copy, '/') ? strrchr(copy, '/') + 1 : copy;
	snprintf(object, sizeof(object), "%.*s", (int)strcspn(base, "."), base);
	obj = bpf_object__open_file(copy, NULL);
	if (!obj) {
		fprintf(stderr, "programs: cannot open %s: %s\n", copy, strerror(errno));
		return -errno;
	}
	bpf_object__for_each_program(p, obj)
	{
		if (only && strcmp(only, bpf_program__name(p)))
			continue;
		err = try_program(copy, object, variant ? variant : "-", variables ? variables : "",
				  p);
		if (err)
			break;
	}
	bpf_object__close(obj);
	return err;
}

int main(int argc, char **argv)
{
	struct rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY};

	libbpf_set_print(silent);
	setrlimit(RLIMIT_MEMLOCK, &unlimited); /* counts for BPF before 5.11 only */
	log_text = malloc(LOG_BYTES);
	if (!log_text || argc < 2)
		return 2;
	for (int i = 1; i < argc; i++) {
		if (try_object(argv[i]))
			return 1;
	}
	return 0;
}
