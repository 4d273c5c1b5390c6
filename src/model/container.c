/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Cgroup paths. What stands behind the forms:
 *   kubelet   pkg/kubelet/cm/cgroup_manager_linux.go, pod_container_manager_linux.go: kubepods,
 *             burstable, besteffort, pod<uid>; as slices joined by '-', the uid's dashes as '_'
 *   runc      libcontainer/cgroups/systemd: "slice:prefix:name" is slice/prefix-name.scope; taken
 *             literally when the cgroupfs driver is given it
 *   others    docker-, crio-, libpod-, nerdctl-, cri-containerd- and the id; podman's pods are
 *             machine-libpod_pod_<id>.slice; LXC 4 has lxc.payload.<name>
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "model/container.h"

#define ID_LEN	      64 /* hex digits of a full id */
#define ID_MIN	      12 /* behind a known prefix */
#define UID_DIGITS    32
#define POD_ID_SHOWN  12 /* digits of a podman pod's id, as podman shows them */
#define ARRAY_LEN(a)  (sizeof(a) / sizeof((a)[0]))
#define IS(part, lit) ((part)->len == sizeof(lit) - 1 && !memcmp((part)->s, lit, sizeof(lit) - 1))

/* A component of the path, or a piece of one. */
struct part {
	const char *s;
	size_t len;
};

enum kind {
	KIND_PLAIN,
	KIND_LEVEL, /* slices, kubepods, QoS classes */
	KIND_POD,
	KIND_UNIT, /* service, scope */
	KIND_MONITOR,
	KIND_CONTAINER,
};

struct parser {
	struct container *c;
	struct part before; /* the component in front of this one */
	enum kind kind;
};

void container__put(char *out, size_t size, const char *s, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		unsigned char ch = (unsigned char)s[i];
		bool plain = ch >= ' ' && ch < 0x7f;

		if (n + (plain ? 1 : 4) >= size)
			break;
		if (plain)
			out[n++] = (char)ch;
		else
			n += (size_t)snprintf(out + n, size - n, "\\x%02x", ch);
	}
	if (size)
		out[n] = '\0';
}

#define PUT(field, part) container__put(field, sizeof(field), (part)->s, (part)->len)

static bool cut_prefix(struct part *p, const char *prefix)
{
	size_t n = strlen(prefix);

	if (p->len < n || memcmp(p->s, prefix, n) != 0)
		return false;
	p->s += n;
	p->len -= n;
	return true;
}

static bool cut_suffix(struct part *p, const char *suffix)
{
	size_t n = strlen(suffix);

	if (p->len <= n || memcmp(p->s + p->len - n, suffix, n) != 0)
		return false;
	p->len -= n;
	return true;
}

static bool is_hex(const struct part *p, size_t least)
{
	if (p->len < least || p->len > ID_LEN)
		return false;
	for (size_t i = 0; i < p->len; i++) {
		if (!isdigit((unsigned char)p->s[i]) && !(p->s[i] >= 'a' && p->s[i] <= 'f'))
			return false;
	}
	return true;
}

/* Ids that people chose (runc, ctr): as runc allows them, libcontainer/factory_linux.go. */
static bool is_id(const struct part *p)
{
	if (!p->len || p->len >= sizeof(((struct container *)NULL)->id) || p->s[0] == '.')
		return false;
	for (size_t i = 0; i < p->len; i++) {
		if (!isalnum((unsigned char)p->s[i]) && !strchr("_+-.", p->s[i]))
			return false;
	}
	return true;
}

/* The name of a unit: \x2d and the like are what systemd-escape made of them. */
static void put_unit(struct container *c, const struct part *p)
{
	char name[sizeof(c->name)];
	unsigned int ch;
	size_t n = 0;

	for (size_t i = 0; i < p->len && n < sizeof(name); i++) {
		name[n] = p->s[i];
		if (p->len - i >= 4 && p->s[i] == '\\' && p->s[i + 1] == 'x' &&
		    isxdigit((unsigned char)p->s[i + 2]) && isxdigit((unsigned char)p->s[i + 3]) &&
		    sscanf(p->s + i + 2, "%2x", &ch) == 1 && ch >= ' ' && ch < 0x7f) {
			name[n] = (char)ch;
			i += 3;
		}
		n++;
	}
	container__put(c->name, sizeof(c->name), name, n);
}

/* A pod's uid: 32 hex digits, in groups or, a static pod's, without. Dashes may be underscores. */
static bool put_pod_uid(struct container *c, const struct part *p)
{
	char uid[sizeof(c->pod_uid)];
	size_t digits = 0;

	if (p->len < UID_DIGITS || p->len >= sizeof(uid))
		return false;
	for (size_t i = 0; i < p->len; i++) {
		uid[i] = (char)(p->s[i] == '_' ? '-' : p->s[i]);
		if (isxdigit((unsigned char)uid[i]))
			digits++;
		else if (uid[i] != '-')
			return false;
	}
	if (digits != UID_DIGITS)
		return false;
	memset(c, 0, sizeof(*c));
	memcpy(c->pod_uid, uid, p->len);
	memcpy(c->pod, uid, p->len);
	return true;
}

/* pod<uid>, or the last of a pod slice's names: [kubelet-]kubepods[-burstable]-pod<uid>.slice */
static bool parse_pod(struct parser *ps, struct part p)
{
	struct part name = p;
	bool slice = cut_suffix(&name, ".slice");

	if (slice) {
		size_t at = name.len;

		while (at && name.s[at - 1] != '-')
			at--;
		name.s += at;
		name.len -= at;
	}
	if (!cut_prefix(&name, "pod") || !put_pod_uid(ps->c, &name))
		return false;
	strcpy(ps->c->runtime, "kubelet");
	PUT(ps->c->name, &p);
	ps->kind = KIND_POD;
	return true;
}

/* podman's: machine-libpod_pod_<id>.slice, or the bare id below libpod_parent. */
static bool parse_podman_pod(struct parser *ps, struct part p)
{
	struct part id = p;

	if (cut_suffix(&id, ".slice")) {
		if (!cut_prefix(&id, "machine-libpod_pod_") && !cut_prefix(&id, "user-libpod_pod_"))
			return false;
	} else if (!IS(&ps->before, "libpod_parent")) {
		return false;
	}
	if (!is_hex(&id, ID_LEN))
		return false;
	memset(ps->c, 0, sizeof(*ps->c));
	strcpy(ps->c->runtime, "podman");
	container__put(ps->c->pod, sizeof(ps->c->pod), id.s, POD_ID_SHOWN);
	PUT(ps->c->name, &p);
	ps->kind = KIND_POD;
	return true;
}

/* What is known so far of the pod around it stays. */
static void set_container(struct parser *ps, const struct part *p, const struct part *id,
			  const char *runtime, enum kind kind)
{
	struct container *c = ps->c;

	snprintf(c->runtime, sizeof(c->runtime), "%s", runtime);
	c->id[0] = '\0';
	if (id)
		PUT(c->id, id);
	PUT(c->name, p);
	/* Cut short, it would pass for a name. */
	if (id && !strstr(c->name, c->id))
		PUT(c->name, id);
	ps->kind = kind;
}

/* prefix-<id>[.scope]; monitors stand beside their container, in a cgroup of their own. */
static bool parse_prefixed(struct parser *ps, const struct part *p)
{
	static const struct {
		const char *prefix, *runtime;
		enum kind kind;
	} forms[] = {
		{"cri-containerd-", "containerd", KIND_CONTAINER},
		{"nerdctl-", "containerd", KIND_CONTAINER},
		{"docker-", "docker", KIND_CONTAINER},
		{"crio-conmon-", "cri-o", KIND_MONITOR},
		{"crio-", "cri-o", KIND_CONTAINER},
		{"libpod-conmon-", "podman", KIND_MONITOR},
		{"libpod-", "podman", KIND_CONTAINER},
	};
	struct part id = *p;
	bool scope = cut_suffix(&id, ".scope");

	for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
		struct part rest = id;

		if (!cut_prefix(&rest, forms[i].prefix) || !is_hex(&rest, scope ? ID_MIN : ID_LEN))
			continue;
		set_container(ps, p, forms[i].kind == KIND_MONITOR ? NULL : &rest, forms[i].runtime,
			      forms[i].kind);
		return true;
	}
	if (!scope)
		return false;
	if (cut_prefix(&id, "runc-") && is_id(&id)) {
		set_container(ps, is_hex(&id, ID_LEN) ? p : &id, &id, "runc", KIND_CONTAINER);
		return true;
	}
	/* Another's prefix, as containerd's and podman's options allow: the id cannot be mistaken.
	 */
	if (id.len <= ID_LEN || id.s[id.len - ID_LEN - 1] != '-')
		return false;
	id.s += id.len - ID_LEN;
	id.len = ID_LEN;
	if (!is_hex(&id, ID_LEN))
		return false;
	set_container(ps, p, &id, "", KIND_CONTAINER);
	return true;
}

/* The bare id of the cgroupfs driver; its parent may tell whose. */
static bool parse_bare(struct parser *ps, const struct part *p)
{
	const char *runtime = "";

	if (!is_hex(p, ID_LEN))
		return false;
	if (IS(&ps->before, "docker"))
		runtime = "docker";
	else if (IS(&ps->before, "k8s.io") || IS(&ps->before, "default"))
		runtime = "containerd";
	set_container(ps, p, p, runtime, KIND_CONTAINER);
	return true;
}

static bool parse_lxc(struct parser *ps, const struct part *p)
{
	struct part name = *p;

	if (cut_prefix(&name, "lxc.monitor.")) {
		set_container(ps, p, NULL, "lxc", KIND_MONITOR);
		return true;
	}
	if (!cut_prefix(&name, "lxc.payload.") && !IS(&ps->before, "lxc") &&
	    !IS(&ps->before, "lxc.payload"))
		return false;
	if (!is_id(&name))
		return false;
	set_container(ps, &name, &name, "lxc", KIND_CONTAINER);
	return true;
}

/* "slice:prefix:id", meant for the systemd driver, with the cgroupfs driver. */
static bool parse_colons(struct parser *ps, const struct part *p)
{
	const char *first = memchr(p->s, ':', p->len), *last;
	struct part slice, prefix, id, parent;

	if (!first)
		return false;
	slice = parent = (struct part){p->s, (size_t)(first - p->s)};
	last = memchr(first + 1, ':', p->len - slice.len - 1);
	if (!last)
		return false;
	prefix = (struct part){first + 1, (size_t)(last - first - 1)};
	id = (struct part){last + 1, p->len - (size_t)(last - p->s) - 1};
	if (!is_id(&id) || !prefix.len || (slice.len && !cut_suffix(&parent, ".slice")))
		return false;
	parse_pod(ps, slice);
	set_container(ps, &id, &id,
		      IS(&prefix, "cri-containerd") || IS(&prefix, "nerdctl") ? "containerd"
		      : IS(&prefix, "docker")				      ? "docker"
		      : IS(&prefix, "crio")				      ? "cri-o"
		      : IS(&prefix, "runc")				      ? "runc"
									      : "",
		      KIND_CONTAINER);
	return true;
}

static bool parse_unit(struct parser *ps, const struct part *p)
{
	struct part name = *p;

	if (!cut_suffix(&name, ".service") && !cut_suffix(&name, ".scope"))
		return false;
	memset(ps->c, 0, sizeof(*ps->c));
	strcpy(ps->c->runtime, "systemd");
	put_unit(ps->c, p);
	ps->kind = KIND_UNIT;
	return true;
}

static bool parse_level(struct parser *ps, const struct part *p)
{
	struct part name = *p;
	bool slice = cut_suffix(&name, ".slice");
	bool kube = cut_prefix(&name, "kubelet-kubepods") || cut_prefix(&name, "kubepods");

	if (kube)
		kube = !name.len || name.s[0] == '-';
	else
		kube = (IS(p, "burstable") || IS(p, "besteffort")) && IS(&ps->before, "kubepods");
	if (!slice && !kube)
		return false;
	memset(ps->c, 0, sizeof(*ps->c));
	strcpy(ps->c->runtime, kube ? "kubelet" : "systemd");
	put_unit(ps->c, p);
	ps->kind = KIND_LEVEL;
	return true;
}

static void parse_plain(struct parser *ps, const struct part *p)
{
	size_t n = strlen(ps->c->name);

	switch (ps->kind) {
	case KIND_UNIT: /* what the service made of the cgroup it was given */
		if (n + 1 < sizeof(ps->c->name)) {
			ps->c->name[n] = '/';
			container__put(ps->c->name + n + 1, sizeof(ps->c->name) - n - 1, p->s,
				       p->len);
		}
		return;
	case KIND_POD: PUT(ps->c->name, p); return;
	case KIND_MONITOR:
	case KIND_CONTAINER: return;
	case KIND_PLAIN:
	case KIND_LEVEL: break;
	}
	memset(ps->c, 0, sizeof(*ps->c));
	PUT(ps->c->name, p);
	ps->kind = KIND_PLAIN;
}

static void parse_part(struct parser *ps, const struct part *p)
{
	if (parse_pod(ps, *p) || parse_podman_pod(ps, *p) || parse_prefixed(ps, p) ||
	    parse_bare(ps, p) || parse_colons(ps, p))
		return;
	/* Units and slices within a container are its own affair. */
	if (ps->kind == KIND_CONTAINER || ps->kind == KIND_MONITOR || parse_lxc(ps, p) ||
	    parse_unit(ps, p) || parse_level(ps, p))
		return;
	parse_plain(ps, p);
}

bool container__parse(const char *path, struct container *c)
{
	struct parser ps = {.c = c, .before = {"", 0}};

	memset(c, 0, sizeof(*c));
	while (*path) {
		struct part p = {path, strcspn(path, "/")};

		path += p.len + (path[p.len] == '/');
		if (!p.len)
			continue;
		parse_part(&ps, &p);
		ps.before = p;
	}
	return ps.kind == KIND_UNIT || ps.kind == KIND_CONTAINER;
}

bool container__is_named(const struct container *c)
{
	return c->id[0] && c->name[0] &&
	       !(strlen(c->id) >= ID_MIN && strstr(c->name, c->id) &&
		 (strlen(c->name) > strlen(c->id) || strlen(c->id) == ID_LEN));
}

/* What stands behind the component that holds the id: cgroups that the container made itself. */
static const char *below_container(const struct container *c, const char *path)
{
	size_t id_len = strlen(c->id);

	while (*path) {
		struct part p = {path, strcspn(path, "/")};

		path += p.len;
		cut_suffix(&p, ".scope");
		if (p.len >= id_len && !memcmp(p.s + p.len - id_len, c->id, id_len) &&
		    (p.len == id_len || strchr("-:.", p.s[p.len - id_len - 1])))
			break;
		path += *path == '/';
	}
	/* podman and CRI-O put the container's processes one below the scope. */
	if (strncmp(path, "/container", 10) == 0 && (!path[10] || path[10] == '/'))
		path += 10;
	return path[0] && path[1] ? path : "";
}

void container__label(const struct container *c, const char *path, char *out, size_t size)
{
	bool unit = strcmp(c->runtime, "systemd") == 0, pod = c->pod[0];
	size_t len = strlen(c->name), n;
	char rest[256] = "";

	if (!size)
		return;
	if (unit && (len < 6 || strcmp(c->name + len - 6, ".slice") != 0)) {
		snprintf(out, size, "%s", c->name);
	} else if (container__is_named(c)) {
		n = (size_t)snprintf(out, size, "%s%s%s%s%s", c->namespace_,
				     c->namespace_[0] ? "/" : "", c->pod, pod ? "/" : "", c->name);
		path = below_container(c, path);
		container__put(rest, sizeof(rest), path, strlen(path));
		if (n < size)
			snprintf(out + n, size - n, "%s", rest);
	} else if (!c->id[0] && c->namespace_[0] && pod) {
		snprintf(out, size, "%s/%s", c->namespace_, c->pod);
	} else {
		snprintf(out, size, "%s", path);
	}
}
