// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Sources of names, in the order in which they are asked:
 *   containerd  config.json of the OCI bundle; annotations of the CRI plugin (containerd,
 *               pkg/cri/annotations) and of nerdctl
 *   CRI-O       config.json in the storage's run directory, annotations as the kubelet's labels
 *   runc        state.json, where the annotations are "key=value" labels
 *   docker      config.v2.json
 *   podman      the storage's containers.json
 *   kubelet     links in /var/log/containers, directories in /var/log/pods
 */
#define _GNU_SOURCE
#include "probe/container_names.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "probe/hostfs.h"

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define PATH_LEN     1024
#define FULL_ID	     64
#define RUNC_ROOT    "/run/runc"

#define CONTAINERD_RUNC "/run/containerd/runc" /* its shim's, whatever the state directory */
#define RUNC_MAX	4096
#define RUNC_AGAIN	50000000ull /* ns, when a container just starts */

#define NAMESPACES_MAX 64 /* of containerd */

/* A name in one of the files; cgroup and file names are not trusted to be names. */
static bool is_name(const char *s)
{
	return *s && *s != '.' && strlen(s) < sizeof(((struct container *)NULL)->id) &&
	       !strchr(s, '/');
}

static const char *string_in(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

static bool put(char *out, size_t size, const char *s)
{
	if (*s)
		container__put(out, size, s, strlen(s));
	return *s;
}

/* The first of the keys that is there. */
static const char *first_of(const json_t *o, const char *const keys[3])
{
	for (int i = 0; i < 3 && keys[i]; i++) {
		const char *s = string_in(o, keys[i]);

		if (*s)
			return s;
	}
	return "";
}

/* Annotations or labels. True: the container's name was among them. */
static bool take_annotations(const json_t *o, struct container *c)
{
	static const char *const name[3] = {"io.kubernetes.cri.container-name",
					    "io.kubernetes.container.name", "nerdctl/name"};
	static const char *const pod[3] = {"io.kubernetes.cri.sandbox-name",
					   "io.kubernetes.pod.name"};
	static const char *const uid[3] = {"io.kubernetes.cri.sandbox-uid",
					   "io.kubernetes.pod.uid"};
	static const char *const ns[3] = {"io.kubernetes.cri.sandbox-namespace",
					  "io.kubernetes.pod.namespace"};
	static const char *const type[3] = {"io.kubernetes.cri.container-type",
					    "io.kubernetes.cri-o.ContainerType",
					    "io.kubernetes.docker.type"};
	const char *kind = first_of(o, type), *found = first_of(o, name);

	if (!c->pod_uid[0])
		put(c->pod_uid, sizeof(c->pod_uid), first_of(o, uid));
	put(c->pod, sizeof(c->pod), first_of(o, pod));
	put(c->namespace_, sizeof(c->namespace_), first_of(o, ns));
	/* It holds the pod's namespaces; the kubelet calls it POD, or nothing. */
	if (!strcmp(kind, "sandbox") || !strcmp(kind, "podsandbox"))
		found = "pause";
	return put(c->name, sizeof(c->name), found);
}

static bool take_bundle(int root, const char *path, struct container *c)
{
	json_t *o = hostfs__json(root, path);
	bool named = o && take_annotations(json_object_get(o, "annotations"), c);

	json_decref(o);
	return named;
}

struct task_search {
	int root;
	const char *base;
	struct container *c;
	int namespaces;
	bool named;
};

static const char *const task_dirs[] = {
	"/run/containerd/io.containerd.runtime.v2.task",
	"/run/k3s/containerd/io.containerd.runtime.v2.task",
	"/var/snap/microk8s/common/run/containerd/io.containerd.runtime.v2.task",
};

/* An id that a person chose is a name. */
static bool take_task(int root, const char *dir, const char *ns, struct container *c)
{
	char path[PATH_LEN];
	json_t *o;
	bool named;

	if (!is_name(ns) || snprintf(path, sizeof(path), "%s/%s/%s/config.json", dir, ns, c->id) >=
				    (int)sizeof(path))
		return false;
	o = hostfs__json(root, path);
	if (!o)
		return false;
	/* docker's containers are in its namespace moby, and their names elsewhere. */
	if (!c->runtime[0])
		snprintf(c->runtime, sizeof(c->runtime), "%s",
			 strcmp(ns, "moby") ? "containerd" : "docker");
	named = take_annotations(json_object_get(o, "annotations"), c);
	json_decref(o);
	if (!named && strlen(c->id) != FULL_ID)
		named = put(c->name, sizeof(c->name), c->id);
	return named;
}

static bool task_in_namespace(void *ctx, const char *ns)
{
	struct task_search *s = ctx;

	s->named = take_task(s->root, s->base, ns, s->c);
	return s->named || ++s->namespaces >= NAMESPACES_MAX;
}

static bool from_containerd(int root, struct container *c)
{
	for (size_t i = 0; i < ARRAY_LEN(task_dirs); i++) {
		struct task_search s = {.root = root, .base = task_dirs[i], .c = c};

		hostfs__each(root, task_dirs[i], task_in_namespace, &s);
		if (s.named)
			return true;
	}
	return false;
}

static bool from_crio(int root, struct container *c)
{
	static const char *const dirs[] = {"/run/containers/storage", "/var/run/containers/storage",
					   "/var/lib/containers/storage"};
	char path[PATH_LEN];

	for (size_t i = 0; i < ARRAY_LEN(dirs); i++) {
		snprintf(path, sizeof(path), "%s/overlay-containers/%s/userdata/config.json",
			 dirs[i], c->id);
		if (take_bundle(root, path, c)) {
			if (!c->runtime[0])
				strcpy(c->runtime, "cri-o");
			return true;
		}
	}
	return false;
}

/* runc keeps annotations as labels "key=value". */
static bool take_labels(const json_t *labels, struct container *c)
{
	json_t *o = json_object();
	bool named;

	for (size_t i = 0; i < json_array_size(labels); i++) {
		const char *s = json_string_value(json_array_get(labels, i));
		const char *eq = s ? strchr(s, '=') : NULL;
		char key[128];

		if (!eq || (size_t)(eq - s) >= sizeof(key))
			continue;
		memcpy(key, s, (size_t)(eq - s));
		key[eq - s] = '\0';
		json_object_set_new(o, key, json_string(eq + 1));
	}
	named = o && take_annotations(o, c);
	json_decref(o);
	return named;
}

static bool take_runc_state(const json_t *state, struct container *c)
{
	bool named = take_labels(json_object_get(json_object_get(state, "config"), "labels"), c);

	if (!named && strlen(c->id) != FULL_ID)
		named = put(c->name, sizeof(c->name), c->id);
	if (!c->runtime[0])
		strcpy(c->runtime, "runc");
	return named;
}

static json_t *runc_state(int root, const char *dir, const char *id)
{
	char path[PATH_LEN];

	if (snprintf(path, sizeof(path), "%s/%s/state.json", dir, id) >= (int)sizeof(path))
		return NULL;
	return hostfs__json(root, path);
}

static bool from_runc(int root, struct container *c)
{
	json_t *o = runc_state(root, RUNC_ROOT, c->id);
	bool named = o && take_runc_state(o, c);

	json_decref(o);
	return named;
}

static bool from_docker(int root, struct container *c)
{
	static const char *const dirs[] = {"/var/lib/docker",
					   "/var/snap/docker/common/var-lib-docker"};
	char path[PATH_LEN];
	const char *name;
	json_t *o = NULL;
	bool named = false;

	for (size_t i = 0; i < ARRAY_LEN(dirs) && !o; i++) {
		snprintf(path, sizeof(path), "%s/containers/%s/config.v2.json", dirs[i], c->id);
		o = hostfs__json(root, path);
	}
	if (!o)
		return false;
	strcpy(c->runtime, "docker");
	named = take_annotations(json_object_get(json_object_get(o, "Config"), "Labels"), c);
	name = string_in(o, "Name");
	if (!named)
		named = put(c->name, sizeof(c->name), *name == '/' ? name + 1 : name);
	json_decref(o);
	return named;
}

static bool from_podman(int root, struct container *c)
{
	static const char *const files[] = {
		"/var/lib/containers/storage/overlay-containers/containers.json",
		"/run/containers/storage/overlay-containers/volatile-containers.json",
		"/var/lib/containers/storage/vfs-containers/containers.json",
	};
	bool named = false;

	for (size_t i = 0; i < ARRAY_LEN(files) && !named; i++) {
		json_t *o = hostfs__json(root, files[i]);

		for (size_t k = 0; k < json_array_size(o) && !named; k++) {
			const json_t *one = json_array_get(o, k);
			const char *name =
				json_string_value(json_array_get(json_object_get(one, "names"), 0));

			if (name && strcmp(string_in(one, "id"), c->id) == 0)
				named = put(c->name, sizeof(c->name), name);
		}
		json_decref(o);
	}
	if (named && !c->runtime[0])
		strcpy(c->runtime, "podman");
	return named;
}

/* <pod>_<namespace>_<container>-<id>.log; none of the three has a '_' in it. */
static bool log_of_container(void *ctx, const char *file)
{
	struct container *c = ctx;
	size_t len = strlen(file), tail = strlen(c->id) + strlen("-.log");
	const char *ns = strchr(file, '_'), *name = ns ? strchr(ns + 1, '_') : NULL;

	if (!name || len <= tail || file[len - tail] != '-' || file + len - tail <= name + 1 ||
	    strncmp(file + len - tail + 1, c->id, strlen(c->id)) != 0 ||
	    strcmp(file + len - 4, ".log") != 0)
		return false;
	container__put(c->pod, sizeof(c->pod), file, (size_t)(ns - file));
	container__put(c->namespace_, sizeof(c->namespace_), ns + 1, (size_t)(name - ns - 1));
	container__put(c->name, sizeof(c->name), name + 1, (size_t)(file + len - tail - name - 1));
	return true;
}

bool container_names__of_id(int root, struct container *c)
{
	if (!is_name(c->id))
		return false;
	return from_containerd(root, c) || from_crio(root, c) || from_runc(root, c) ||
	       from_docker(root, c) || from_podman(root, c) ||
	       (strlen(c->id) == FULL_ID &&
		hostfs__each(root, "/var/log/containers", log_of_container, c));
}

/* <namespace>_<pod>_<uid> */
static bool log_of_pod(void *ctx, const char *dir)
{
	struct container *c = ctx;
	const char *pod = strchr(dir, '_'), *uid = pod ? strchr(pod + 1, '_') : NULL;

	if (!uid || strcmp(uid + 1, c->pod_uid) != 0)
		return false;
	container__put(c->namespace_, sizeof(c->namespace_), dir, (size_t)(pod - dir));
	container__put(c->pod, sizeof(c->pod), pod + 1, (size_t)(uid - pod - 1));
	return true;
}

bool container_names__of_pod(int root, struct container *c)
{
	return c->pod_uid[0] && hostfs__each(root, "/var/log/pods", log_of_pod, c);
}

/* Does the bundle's cgroup lie at `path`, or at the end of it (a runtime in a container)? */
static bool is_bundle_at(const json_t *config, const char *path)
{
	const char *at = string_in(json_object_get(config, "linux"), "cgroupsPath");
	size_t len = strlen(at), all = strlen(path);

	return len > 1 && *at == '/' && all >= len && strcmp(path + all - len, at) == 0;
}

bool container_names__of_path(int root, const char *path, struct container *c)
{
	const char *id = strrchr(path, '/'), *ns = id;
	struct container found = *c;
	char file[PATH_LEN];

	if (!id || id == path || !is_name(id + 1))
		return false;
	while (ns > path && ns[-1] != '/')
		ns--;
	for (size_t i = 0; i < ARRAY_LEN(task_dirs); i++) {
		json_t *o;
		bool here;

		if (snprintf(file, sizeof(file), "%s/%.*s/config.json", task_dirs[i],
			     (int)strlen(ns), ns) >= (int)sizeof(file))
			continue;
		o = hostfs__json(root, file);
		here = o && is_bundle_at(o, path);
		snprintf(found.id, sizeof(found.id), "%s", id + 1);
		if (here && !take_annotations(json_object_get(o, "annotations"), &found))
			put(found.name, sizeof(found.name), found.id);
		json_decref(o);
		if (here) {
			strcpy(found.runtime, "containerd");
			*c = found;
			return true;
		}
	}
	return false;
}

/* runc's containers. */

struct runc_entry {
	char path[512]; /* below the hierarchy's mount */
	struct container c;
};

struct runc_scan {
	struct runc_index *index;
	int root;
	const char *dir, *runtime;
	bool failed;
};

/*
 * cgroup_paths has "memory": "/sys/fs/cgroup/memory/path" with v1, "": "/sys/fs/cgroup/path" with
 * v2, and the latter below "unified" where there are both. It is the same path in all.
 */
static bool runc_path(const json_t *state, char *out, size_t size)
{
	static const char mount[] = "/sys/fs/cgroup/";
	const json_t *paths = json_object_get(state, "cgroup_paths");
	const char *memory = string_in(paths, "memory"), *v2 = string_in(paths, "");
	const char *s = *memory ? memory : v2;

	if (strncmp(s, mount, sizeof(mount) - 1) != 0)
		return false;
	s += sizeof(mount) - 2;
	if (*memory || strncmp(s, "/unified/", 9) == 0)
		s = strchr(s + 1, '/');
	if (!s || !s[1] || strlen(s) >= size)
		return false;
	strcpy(out, s);
	return true;
}

static bool scan_container(void *ctx, const char *id)
{
	struct runc_scan *s = ctx;
	struct runc_entry e = {}, *more;
	json_t *state;

	/* A full id is in the path, and such containers are many. */
	if (!is_name(id) || strlen(id) == FULL_ID)
		return false;
	state = runc_state(s->root, s->dir, id);
	if (!state) {
		s->index->complete = false;
		return false;
	}
	container__put(e.c.id, sizeof(e.c.id), id, strlen(id));
	snprintf(e.c.runtime, sizeof(e.c.runtime), "%s", s->runtime);
	take_runc_state(state, &e.c);
	if (runc_path(state, e.path, sizeof(e.path))) {
		more = realloc(s->index->entries, (s->index->n + 1) * sizeof(*more));
		s->failed = !more;
		if (more) {
			s->index->entries = more;
			more[s->index->n++] = e;
		}
	}
	json_decref(state);
	return s->failed || s->index->n >= RUNC_MAX;
}

/* Each directory of containers: runc's own, and one a namespace of containerd's. */
static void each_runc_dir(int root, bool (*fn)(void *ctx, const char *ns), struct runc_scan *s)
{
	s->dir = RUNC_ROOT;
	s->runtime = "runc";
	fn(s, "");
	s->dir = CONTAINERD_RUNC;
	s->runtime = "containerd";
	hostfs__each(root, CONTAINERD_RUNC, fn, s);
}

static bool scan_dir(void *ctx, const char *ns)
{
	struct runc_scan *s = ctx, below = *s;
	char dir[PATH_LEN];

	snprintf(dir, sizeof(dir), "%s%s%s", s->dir, *ns ? "/" : "", ns);
	below.dir = dir;
	hostfs__each(s->root, dir, scan_container, &below);
	s->failed = below.failed;
	return s->failed;
}

/* Changes when a container comes or goes. */
static bool stamp_dir(void *ctx, const char *ns)
{
	struct runc_scan *s = ctx;
	char dir[PATH_LEN];
	struct stat st;
	int fd;

	snprintf(dir, sizeof(dir), "%s%s%s", s->dir, *ns ? "/" : "", ns);
	fd = hostfs__open(s->root, dir, O_DIRECTORY);
	if (fd < 0)
		return false;
	if (!fstat(fd, &st))
		s->index->stamp = s->index->stamp * 1000003 + st.st_ino * 31 +
				  (uint64_t)st.st_mtim.tv_sec * 1000000000 +
				  (uint64_t)st.st_mtim.tv_nsec;
	close(fd);
	return false;
}

static void runc_index__refresh(struct runc_index *r, int root)
{
	struct runc_scan scan = {.index = r, .root = root};
	uint64_t before = r->stamp;
	struct timespec ts;
	uint64_t now;

	r->stamp = 1;
	each_runc_dir(root, stamp_dir, &scan);
	clock_gettime(CLOCK_MONOTONIC, &ts);
	now = (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
	if (r->stamp == before && (r->complete || now - r->scanned_ns < RUNC_AGAIN))
		return;
	r->scanned_ns = now;
	r->n = 0;
	r->complete = true;
	each_runc_dir(root, scan_dir, &scan);
	if (scan.failed)
		r->complete = false;
}

bool runc_index__find(struct runc_index *r, int root, const char *path, struct container *c)
{
	const struct runc_entry *best = NULL;

	runc_index__refresh(r, root);
	for (size_t i = 0; i < r->n; i++) {
		const struct runc_entry *e = &r->entries[i];
		size_t len = strlen(e->path);

		if (strncmp(path, e->path, len) == 0 && (!path[len] || path[len] == '/') &&
		    (!best || len > strlen(best->path)))
			best = e;
	}
	if (best)
		*c = best->c;
	return best;
}

void runc_index__free(struct runc_index *r)
{
	free(r->entries);
	memset(r, 0, sizeof(*r));
}
