/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Cgroup paths, and names from files as runtimes leave them, below a root made for the test. */
#define _GNU_SOURCE
#include <ftw.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "model/container.h"
#include "probe/container.h"
#include "probe/container_names.h"
#include "random.h"

#define A   "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa0123456789abcdef0123456789abcdef"
#define B   "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb0123456789abcdef0123456789abcdef"
#define UID "12345678-9abc-def0-1234-56789abcdef0"
#define U_D "12345678_9abc_def0_1234_56789abcdef0"

static const char too_long[] = B "b", pod_dir[] = "pod" UID, pod_slice[] = "pod" U_D;

#define KUBE "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" U_D ".slice"
#define NEST "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod" U_D ".slice"
#define V1   "/kubepods/besteffort/pod" UID

static const struct {
	const char *path;
	bool whole;
	const char *runtime, *id, *name, *uid, *pod;
} forms[] = {
	/* Kubernetes, the systemd driver */
	{KUBE "/cri-containerd-" A ".scope", true, "containerd", A, "cri-containerd-" A ".scope",
	 UID, UID},
	{"/kubepods.slice/kubepods-pod" U_D ".slice/crio-" A ".scope", true, "cri-o", A,
	 "crio-" A ".scope", UID, UID},
	{KUBE "/docker-" A ".scope", true, "docker", A, "docker-" A ".scope", UID, UID},
	{KUBE "/crio-" A ".scope/container", true, "cri-o", A, "crio-" A ".scope", UID, UID},
	{KUBE "/crio-conmon-" A ".scope", false, "cri-o", "", "crio-conmon-" A ".scope", UID, UID},
	{KUBE, false, "kubelet", "", "kubepods-burstable-pod" U_D ".slice", UID, UID},
	{"/kubepods.slice/kubepods-burstable.slice", false, "kubelet", "",
	 "kubepods-burstable.slice", "", ""},
	{"/kubepods.slice", false, "kubelet", "", "kubepods.slice", "", ""},
	/* and the cgroupfs driver */
	{"/kubepods/burstable/pod" UID "/" A, true, "", A, A, UID, UID},
	{"/kubepods/pod" UID "/" A, true, "", A, A, UID, UID},
	{V1 "/crio-" A, true, "cri-o", A, "crio-" A, UID, UID},
	{V1, false, "kubelet", "", "pod" UID, UID, UID},
	{"/kubepods/besteffort", false, "kubelet", "", "besteffort", "", ""},
	{"/kubepods", false, "kubelet", "", "kubepods", "", ""},
	/* a static pod's uid is a hash */
	{"/kubepods/burstable/pod0123456789abcdef0123456789abcdef/" A, true, "", A, A,
	 "0123456789abcdef0123456789abcdef", "0123456789abcdef0123456789abcdef"},
	/* the systemd driver's words, taken literally */
	{"/system.slice/containerd.service/kubepods-burstable-pod" U_D ".slice:cri-containerd:" A,
	 true, "containerd", A, A, UID, UID},
	/* kind: a node that is a container */
	{"/docker/" B "/kubelet/kubepods/burstable/pod" UID "/" A, true, "", A, A, UID, UID},
	{"/system.slice/docker-" B ".scope" NEST "/cri-containerd-" A ".scope", true, "containerd",
	 A, "cri-containerd-" A ".scope", UID, UID},
	{"/docker/" B "/kubelet.slice/kubelet-kubepods.slice", true, "docker", B, B, "", ""},
	{"/docker/" B "/system.slice/containerd.service", true, "docker", B, B, "", ""},
	/* a container in a pod's container */
	{KUBE "/cri-containerd-" B ".scope/docker/" A, true, "docker", A, A, UID, UID},
	/* without Kubernetes */
	{"/docker/" A, true, "docker", A, A, "", ""},
	{"/system.slice/docker-" A ".scope", true, "docker", A, "docker-" A ".scope", "", ""},
	{"/system.slice/docker-aaaabbbbcccc.scope", true, "docker", "aaaabbbbcccc",
	 "docker-aaaabbbbcccc.scope", "", ""},
	{"/ecs/task/" A, true, "", A, A, "", ""},
	{"/machine.slice/libpod-" A ".scope", true, "podman", A, "libpod-" A ".scope", "", ""},
	{"/machine.slice/libpod-" A ".scope/container", true, "podman", A, "libpod-" A ".scope", "",
	 ""},
	{"/machine.slice/libpod-conmon-" A ".scope", false, "podman", "",
	 "libpod-conmon-" A ".scope", "", ""},
	{"/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" A ".scope", true,
	 "podman", A, "libpod-" A ".scope", "", ""},
	{"/libpod_parent/libpod-" A, true, "podman", A, "libpod-" A, "", ""},
	{"/machine.slice/machine-libpod_pod_" B ".slice/libpod-" A ".scope", true, "podman", A,
	 "libpod-" A ".scope", "", "bbbbbbbbbbbb"},
	{"/libpod_parent/" B "/libpod-" A, true, "podman", A, "libpod-" A, "", "bbbbbbbbbbbb"},
	{"/system.slice/nerdctl-" A ".scope", true, "containerd", A, "nerdctl-" A ".scope", "", ""},
	{"/default/" A, true, "containerd", A, A, "", ""},
	{"/system.slice/runc-web-1.scope", true, "runc", "web-1", "web-1", "", ""},
	{"/machine.slice/mine-" A ".scope", true, "", A, "mine-" A ".scope", "", ""},
	{"/lxc.payload.web/system.slice/nginx.service", true, "lxc", "web", "web", "", ""},
	{"/lxc/web", true, "lxc", "web", "web", "", ""},
	{"/lxc.monitor.web", false, "lxc", "", "lxc.monitor.web", "", ""},
	/* systemd */
	{"/system.slice/nginx.service", true, "systemd", "", "nginx.service", "", ""},
	{"/system.slice/system-getty.slice/getty@tty1.service", true, "systemd", "",
	 "getty@tty1.service", "", ""},
	{"/system.slice/dev\\x2dhugepages.service", true, "systemd", "", "dev-hugepages.service",
	 "", ""},
	{"/machine.slice/machine-qemu\\x2d1\\x2dvm.scope", true, "systemd", "",
	 "machine-qemu-1-vm.scope", "", ""},
	{"/system.slice/x\\x0a\\x1b\\x2.service", true, "systemd", "", "x\\x0a\\x1b\\x2.service",
	 "", ""},
	{"/system.slice/nginx.service/workers", true, "systemd", "", "nginx.service/workers", "",
	 ""},
	{"/user.slice/user-1000.slice/session-3.scope", true, "systemd", "", "session-3.scope", "",
	 ""},
	{"/user.slice/user-1000.slice", false, "systemd", "", "user-1000.slice", "", ""},
	{"/init.scope", true, "systemd", "", "init.scope", "", ""},
	/* none of these */
	{"/", false, "", "", "", "", ""},
	{"", false, "", "", "", "", ""},
	{"//web//", false, "", "", "web", "", ""},
	{"/hopscope-4711/svc-1", false, "", "", "svc-1", "", ""},
	{"/docker", false, "", "", "docker", "", ""},
	{"/system.slice/x", false, "", "", "x", "", ""},
	{"/pod" UID "x", false, "", "", "pod" UID "x", "", ""},
	{"/podcast", false, "", "", "podcast", "", ""},
	{"/pod12345678-9abc-def0-1234-56789abcdef-", false, "", "",
	 "pod12345678-9abc-def0-1234-56789abcdef-", "", ""},
	{"/a:b:c", false, "", "", "a:b:c", "", ""},
	{"/kubepodsy", false, "", "", "kubepodsy", "", ""},
	{"/burstable", false, "", "", "burstable", "", ""},
	{"/.service", false, "", "", ".service", "", ""},
	{"/docker/" A "0", false, "", "", A "0", "", ""},
	{"/\x1b[2J\xff\n", false, "", "", "\\x1b[2J\\xff\\x0a", "", ""},
};

static void paths(void **state)
{
	struct container c;

	(void)state;
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		print_message("%s\n", forms[i].path);
		assert_int_equal(container__parse(forms[i].path, &c), forms[i].whole);
		assert_string_equal(c.runtime, forms[i].runtime);
		assert_string_equal(c.id, forms[i].id);
		assert_string_equal(c.name, forms[i].name);
		assert_string_equal(c.pod_uid, forms[i].uid);
		assert_string_equal(c.pod, forms[i].pod);
		assert_string_equal(c.namespace_, "");
	}
}

#define MUST_PRINT(field)                                                    \
	do {                                                                 \
		size_t n = strnlen(field, sizeof(field));                    \
		assert_true(n < sizeof(field));                              \
		for (size_t k = 0; k < n; k++)                               \
			assert_true((field)[k] >= ' ' && (field)[k] < 0x7f); \
	} while (0)

static void check_bounds(const struct container *c, const char *path)
{
	char label[300];

	MUST_PRINT(c->runtime);
	MUST_PRINT(c->id);
	MUST_PRINT(c->name);
	MUST_PRINT(c->pod);
	MUST_PRINT(c->pod_uid);
	MUST_PRINT(c->namespace_);
	for (size_t size = 1; size <= sizeof(label); size += 23) {
		memset(label, 'x', sizeof(label));
		container__label(c, path, label, size);
		assert_true(strnlen(label, size) < size);
		assert_true(size == sizeof(label) || label[size] == 'x');
	}
}

/* Pieces of paths in any order, with any bytes in between. */
static void hostile_paths(void **state)
{
	static const char *const pieces[] = {"/",
					     "//",
					     "kubepods",
					     ".slice",
					     "-pod",
					     pod_dir,
					     pod_slice,
					     A,
					     too_long,
					     "docker-",
					     "crio-",
					     ".scope",
					     "\\x2d",
					     "\\x",
					     "\\x1",
					     ":",
					     "..",
					     "libpod-",
					     ".service",
					     "runc-",
					     "\xc3\x28",
					     "\n",
					     "name",
					     "/docker/",
					     "lxc.payload.",
					     "machine-libpod_pod_"};
	uint64_t seed = 3;

	(void)state;
	for (int round = 0; round < 20000; round++) {
		struct container *c = malloc(sizeof(*c));
		char path[4096] = "";
		size_t n = random__next(&seed) % 24;

		for (size_t i = 0; i < n; i++) {
			if (random__next(&seed) % 8 == 0) {
				size_t len = strlen(path);

				path[len] = (char)(1 + random__next(&seed) % 255);
				path[len + 1] = '\0';
			}
			strcat(path,
			       pieces[random__next(&seed) % (sizeof(pieces) / sizeof(*pieces))]);
		}
		container__parse(path, c);
		check_bounds(c, path);
		free(c);
	}
}

static void a_long_name_is_cut(void **state)
{
	char path[4096] = "/system.slice/";
	struct container c;
	size_t n = strlen(path);

	(void)state;
	memset(path + n, 1, 2000);
	strcpy(path + n + 2000, ".service/more");
	assert_true(container__parse(path, &c));
	check_bounds(&c, path);
	assert_int_equal(strlen(c.name), sizeof(c.name) - 1);
	/* An id is not cut off: what is left would pass for a name. */
	memset(path, 'p', 150);
	strcpy(path + 150, "-" A ".scope");
	assert_true(container__parse(path, &c));
	assert_string_equal(c.id, A);
	assert_string_equal(c.name, A);
}

static const char *label_of(const struct container *c, const char *path)
{
	static char label[512];

	container__label(c, path, label, sizeof(label));
	return label;
}

static void labels(void **state)
{
	struct container c;

	(void)state;
	/* What has no name is called by its path. */
	container__parse("/docker/" A, &c);
	assert_string_equal(label_of(&c, "/docker/" A), "/docker/" A);
	assert_false(container__is_named(&c));
	strcpy(c.name, "web");
	assert_true(container__is_named(&c));
	assert_string_equal(label_of(&c, "/docker/" A), "web");
	assert_string_equal(label_of(&c, "/docker/" A "/init.scope"), "web/init.scope");
	assert_string_equal(label_of(&c, "/docker/" A "/a\n/b"), "web/a\\x0a/b");
	strcpy(c.pod, "shop-1");
	assert_string_equal(label_of(&c, "/docker/" A), "shop-1/web");
	strcpy(c.namespace_, "prod");
	assert_string_equal(label_of(&c, "/docker/" A), "prod/shop-1/web");
	container__parse("/machine.slice/libpod-" A ".scope/container", &c);
	strcpy(c.name, "db");
	assert_string_equal(label_of(&c, "/machine.slice/libpod-" A ".scope/container"), "db");
	assert_string_equal(label_of(&c, "/machine.slice/libpod-" A ".scope/container/x"), "db/x");
	container__parse("/system.slice/nginx.service", &c);
	assert_string_equal(label_of(&c, "/system.slice/nginx.service"), "nginx.service");
	container__parse("/system.slice", &c);
	assert_string_equal(label_of(&c, "/system.slice"), "/system.slice");
	container__parse("/hopscope-1/svc", &c);
	assert_string_equal(label_of(&c, "/hopscope-1/svc"), "/hopscope-1/svc");
	container__parse("/lxc/web/sub", &c);
	assert_string_equal(label_of(&c, "/lxc/web/sub"), "web/sub");
	container__parse(V1, &c);
	assert_string_equal(label_of(&c, V1), V1);
	strcpy(c.pod, "shop-1");
	strcpy(c.namespace_, "prod");
	assert_string_equal(label_of(&c, V1), "prod/shop-1");
}

/* ---- a host's files */

static char root[PATH_MAX];

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static int make_root(void **state)
{
	(void)state;
	snprintf(root, sizeof(root), "%s/hopscope-names-XXXXXX",
		 getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
	return mkdtemp(root) ? 0 : -1;
}

static int remove_root(void **state)
{
	(void)state;
	return nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void full_path(char *out, const char *path)
{
	snprintf(out, PATH_MAX, "%.1000s%s", root, path);
	for (char *s = out + strlen(root) + 1; (s = strchr(s, '/')); s++) {
		*s = '\0';
		mkdir(out, 0755);
		*s = '/';
	}
}

static void write_file(const char *path, const char *text)
{
	char full[PATH_MAX];
	FILE *f;

	full_path(full, path);
	f = fopen(full, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static struct container resolved(const char *path)
{
	struct containers *cs = containers__open(root);
	struct container c;

	containers__resolve(cs, path, &c);
	check_bounds(&c, path);
	containers__close(cs);
	return c;
}

static void assert_names(const char *path, const char *runtime, const char *label)
{
	struct container c = resolved(path);

	assert_string_equal(label_of(&c, path), label);
	assert_string_equal(c.runtime, runtime);
}

#define TASKS	"/run/containerd/io.containerd.runtime.v2.task"
#define CRI	"\"io.kubernetes.cri."
#define STORAGE "/run/containers/storage/overlay-containers/"

static void kubernetes_on_containerd(void **state)
{
	struct container c;

	(void)state;
	write_file(TASKS "/k8s.io/" A "/config.json",
		   "{\"annotations\": {" CRI "container-name\": \"app\", " CRI
		   "sandbox-name\": \"shop-7d9f\", " CRI "sandbox-namespace\": \"prod\", " CRI
		   "sandbox-uid\": \"" UID "\", " CRI "container-type\": \"container\"}}");
	write_file(TASKS "/k8s.io/" B "/config.json",
		   "{\"annotations\": {" CRI "sandbox-name\": \"shop-7d9f\", " CRI
		   "sandbox-namespace\": \"prod\", " CRI "container-type\": \"sandbox\"}}");
	assert_names(KUBE "/cri-containerd-" A ".scope", "containerd", "prod/shop-7d9f/app");
	assert_names("/kubepods/burstable/pod" UID "/" A, "containerd", "prod/shop-7d9f/app");
	assert_names(KUBE "/cri-containerd-" B ".scope", "containerd", "prod/shop-7d9f/pause");
	c = resolved("/k8s.io/" A);
	assert_string_equal(c.pod_uid, UID);
	assert_string_equal(c.id, A);
}

static void kubernetes_on_others(void **state)
{
	(void)state;
	write_file(
		STORAGE A "/userdata/config.json",
		"{\"annotations\": {\"io.kubernetes.container.name\": \"app\","
		"\"io.kubernetes.pod.name\": \"shop\", \"io.kubernetes.pod.namespace\": \"prod\","
		"\"io.kubernetes.cri-o.ContainerType\": \"container\"}}");
	assert_names(KUBE "/crio-" A ".scope/container", "cri-o", "prod/shop/app");
	write_file(
		"/var/lib/docker/containers/" B "/config.v2.json",
		"{\"Name\": \"/k8s_app_shop_prod_0\", \"Config\": {\"Labels\": {"
		"\"io.kubernetes.container.name\": \"POD\", \"io.kubernetes.pod.name\": \"shop\","
		"\"io.kubernetes.docker.type\": \"podsandbox\","
		"\"io.kubernetes.pod.namespace\": \"prod\"}}}");
	assert_names(V1 "/" B, "docker", "prod/shop/pause");
}

static void only_the_kubelets_logs(void **state)
{
	(void)state;
	write_file("/var/log/containers/shop-1_prod_app-2-" A ".log", "");
	write_file("/var/log/containers/short", "");
	write_file("/var/log/containers/_-" A ".log", "");
	write_file("/var/log/containers/a_b-" A ".log", "");
	write_file("/var/log/pods/prod_shop-1_" UID "/app-2/0.log", "");
	assert_names(V1 "/" A, "", "prod/shop-1/app-2");
	assert_names(V1, "kubelet", "prod/shop-1");
}

static void plain_docker_and_podman(void **state)
{
	(void)state;
	/* docker's containers are containerd's too, without a name there */
	write_file(TASKS "/moby/" A "/config.json", "{\"annotations\": {}}");
	write_file("/var/lib/docker/containers/" A "/config.v2.json",
		   "{\"Name\": \"/shop-web-1\", \"Config\": {\"Labels\": null}}");
	assert_names("/system.slice/docker-" A ".scope", "docker", "shop-web-1");
	assert_names("/docker/" A "/init", "docker", "shop-web-1/init");
	write_file("/var/lib/containers/storage/overlay-containers/containers.json",
		   "[{\"id\": \"" A "\", \"names\": [\"other\"]}, 3, {\"id\": \"" B
		   "\", \"names\": [\"db\", \"x\"]}]");
	assert_names("/machine.slice/libpod-" B ".scope/container", "podman", "db");
}

static void containers_of_ctr_and_nerdctl(void **state)
{
	(void)state;
	write_file(TASKS "/default/web/config.json",
		   "{\"linux\": {\"cgroupsPath\": \"/default/web\"}}");
	assert_names("/default/web", "containerd", "web");
	/* Another's cgroup of that name */
	write_file(TASKS "/default/db/config.json", "{\"linux\": {\"cgroupsPath\": \"/x/db\"}}");
	assert_names("/default/db", "", "/default/db");
	write_file(TASKS "/default/" B "/config.json",
		   "{\"annotations\": {\"nerdctl/name\": \"cache\"}}");
	assert_names("/system.slice/nerdctl-" B ".scope", "containerd", "cache");
}

static void containers_of_runc(void **state)
{
	(void)state;
	write_file(
		"/run/runc/web/state.json",
		"{\"id\": \"web\", \"config\": {\"labels\": [\"bundle=/x\"]}, \"cgroup_paths\": {"
		"\"memory\": \"/sys/fs/cgroup/memory/mine/here\","
		"\"\": \"/sys/fs/cgroup/unified/mine/here\"}}");
	write_file("/run/runc/db/state.json",
		   "{\"config\": {\"labels\": [3, \"=\", \"io.kubernetes.container.name=store\"]},"
		   "\"cgroup_paths\": {\"\": \"/sys/fs/cgroup/db\"}}");
	assert_names("/mine/here", "runc", "web");
	assert_names("/mine/here/below", "runc", "web");
	assert_names("/mine/hereafter", "", "/mine/hereafter");
	assert_names("/here", "", "/here");
	assert_names("/db", "runc", "store");
	/* and of containerd's, which runs runc with a directory a namespace */
	write_file("/run/containerd/runc/default/job/state.json",
		   "{\"cgroup_paths\": {\"memory\": \"/sys/fs/cgroup/memory/anywhere\"}}");
	assert_names("/anywhere", "containerd", "job");
	write_file("/run/runc/" A "/state.json",
		   "{\"config\": {\"labels\": [\"io.kubernetes.pod.name=p\","
		   "\"io.kubernetes.container.name=c\"]}}");
	assert_names("/kubepods/pod" UID "/" A, "runc", "p/c");
}

/* Files that are none, or lie: the path is what is known. */
static void hostile_files(void **state)
{
	static const char *const texts[] = {
		"",
		"{",
		"null",
		"[]",
		"7",
		"{\"annotations\": 3, \"Name\": [], \"Config\": 1, \"config\": [], "
		"\"cgroup_paths\": 0}",
		"{\"annotations\": {" CRI
		"container-name\": 7}, \"Config\": {\"Labels\": [1]}, \"Name\": \"\"}",
		"{\"annotations\": {" CRI "container-name\": \"\"}, \"Name\": \"/\","
		"\"cgroup_paths\": {\"memory\": \"/sys/fs/cgroup/\", \"\": "
		"\"/sys/fs/cgroup/unified/\"}}",
		"{\"cgroup_paths\": {\"memory\": \"/sys/fs/cgroup/memory\"}, \"config\": "
		"{\"labels\": {}}}",
		"[{\"id\": \"" A "\"}, {\"id\": \"" A "\", \"names\": [1]}]",
	};
	char full[PATH_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		write_file(TASKS "/k8s.io/" A "/config.json", texts[i]);
		write_file(STORAGE A "/userdata/config.json", texts[i]);
		write_file("/run/runc/" A "/state.json", texts[i]);
		write_file("/run/runc/x/state.json", texts[i]);
		write_file("/var/lib/docker/containers/" A "/config.v2.json", texts[i]);
		write_file("/var/lib/containers/storage/overlay-containers/containers.json",
			   texts[i]);
		assert_string_equal(resolved("/docker/" A).name, A);
		assert_string_equal(resolved("/x").runtime, "");
	}
	/* A FIFO must not hold us up. */
	full_path(full, TASKS "/k8s.io/" B "/config.json");
	assert_int_equal(mkfifo(full, 0600), 0);
	assert_string_equal(resolved("/docker/" B).name, B);
}

static void hostile_names(void **state)
{
	struct container c;

	(void)state;
	write_file(TASKS "/k8s.io/" A "/config.json",
		   "{\"annotations\": {" CRI "container-name\": \"a\\u001b[2J\\u202e\", " CRI
		   "sandbox-name\": \"\\u0000\", " CRI "sandbox-namespace\": \"n\\ns\"}}");
	c = resolved("/docker/" A);
	assert_string_equal(c.name, A); /* jansson refuses a NUL, and with it the file */
	write_file(TASKS "/k8s.io/" A "/config.json",
		   "{\"annotations\": {" CRI "container-name\": \"a\\u001b[2J\\u202e\", " CRI
		   "sandbox-namespace\": \"n\\ns\"}}");
	c = resolved("/docker/" A);
	assert_string_equal(c.name, "a\\x1b[2J\\xe2\\x80\\xae");
	assert_string_equal(c.namespace_, "n\\x0as");
}

static void a_huge_file_is_not_read(void **state)
{
	char *text = malloc(3 << 20);

	(void)state;
	memset(text, ' ', 3 << 20);
	strcpy(text + (2 << 20), "{\"annotations\": {" CRI "container-name\": \"app\"}}");
	write_file(TASKS "/k8s.io/" A "/config.json", text);
	assert_string_equal(resolved("/docker/" A).name, A);
	write_file(TASKS "/k8s.io/" A "/config.json", text + (2 << 20));
	assert_string_equal(resolved("/docker/" A).name, "app");
	free(text);
}

/* /run may be a link to elsewhere, absolute: on the host, not here. */
static void links_stay_below_the_root(void **state)
{
	char full[PATH_MAX], target[PATH_MAX];

	(void)state;
	write_file("/elsewhere/io.containerd.runtime.v2.task/k8s.io/" A "/config.json",
		   "{\"annotations\": {" CRI "container-name\": \"app\"}}");
	full_path(full, "/run/containerd");
	assert_int_equal(symlink("/elsewhere", full), 0);
	assert_string_equal(resolved("/docker/" A).name, "app");
	/* One that leads out of the root does not: outside lies a file that it would find. */
	write_file("/outside", "{\"annotations\": {" CRI "container-name\": \"outside\"}}");
	snprintf(target, sizeof(target), "%.1000s/outside", root);
	full_path(full, "/elsewhere/io.containerd.runtime.v2.task/k8s.io/" B "/config.json");
	assert_int_equal(symlink(target, full), 0);
	assert_string_equal(resolved("/docker/" B).name, B);
}

static void no_such_root(void **state)
{
	struct containers *cs = containers__open("/no/such/root");
	struct container c;

	(void)state;
	containers__resolve(cs, "/system.slice/x.service", &c);
	assert_string_equal(c.name, "x.service");
	containers__resolve(cs, "/docker/" A, &c);
	assert_string_equal(c.id, A);
	containers__close(cs);
	containers__close(NULL);
}

/* A name that comes up later is found later; one that is known stays, its files gone. */
static void names_that_come_up_later(void **state)
{
	struct containers *cs = containers__open(root);
	struct container c;
	char full[PATH_MAX];

	(void)state;
	containers__resolve(cs, "/docker/" A, &c);
	containers__resolve(cs, "/mine", &c);
	assert_false(container__is_named(&c));
	write_file("/var/lib/docker/containers/" A "/config.v2.json", "{\"Name\": \"/web\"}");
	write_file("/run/runc/job/state.json",
		   "{\"cgroup_paths\": {\"\": \"/sys/fs/cgroup/mine\"}}");
	for (int i = 0; i < 200 && strcmp(c.name, "job") != 0; i++) {
		usleep(20000);
		containers__resolve(cs, "/mine", &c);
	}
	assert_string_equal(c.name, "job");
	containers__resolve(cs, "/docker/" A, &c);
	assert_string_equal(c.name, "web");
	full_path(full, "/var/lib/docker/containers/" A "/config.v2.json");
	unlink(full);
	containers__resolve(cs, "/docker/" A, &c);
	assert_string_equal(c.name, "web");
	containers__close(cs);
}

/* More cgroups than are kept, and none is mistaken for another. */
static void many_cgroups(void **state)
{
	struct containers *cs = containers__open("/no/such/root");
	struct container c;
	char path[64];

	(void)state;
	for (int i = 0; i < 40000; i++) {
		snprintf(path, sizeof(path), "/system.slice/s%d.service", i % 30000);
		containers__resolve(cs, path, &c);
		assert_string_equal(c.name, path + strlen("/system.slice/"));
	}
	containers__close(cs);
}

static void filters(void **state)
{
	struct container c;
	const char *path = KUBE "/cri-containerd-" A ".scope";

	(void)state;
	container__parse(path, &c);
	strcpy(c.name, "app");
	strcpy(c.pod, "shop-7d9f");
	strcpy(c.namespace_, "prod");
	assert_true(container__matches(&c, path, "app"));
	assert_true(container__matches(&c, path, "prod/shop-7d9f/app"));
	assert_true(container__matches(&c, path, "shop"));
	assert_true(container__matches(&c, path, "aaaaaaaa"));
	assert_true(container__matches(&c, path, "kubepods-burstable"));
	assert_true(container__matches(&c, "/elsewhere", "aaaaaa"));
	assert_false(container__matches(&c, "/elsewhere", "aaaaa"));
	assert_false(container__matches(&c, path, "apple"));
	assert_false(container__matches(&c, path, ""));
	assert_true(container__in_pod(&c, "shop"));
	assert_true(container__in_pod(&c, "prod/shop-7d9f"));
	assert_true(container__in_pod(&c, "12345678"));
	assert_false(container__in_pod(&c, "app"));
	assert_false(container__in_pod(&c, "9abc-"));
	assert_false(container__in_pod(&c, ""));
	container__parse("/docker/" A, &c);
	assert_false(container__in_pod(&c, "a"));
}

#define WITH_ROOT(test) cmocka_unit_test_setup_teardown(test, make_root, remove_root)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(paths),
		cmocka_unit_test(hostile_paths),
		cmocka_unit_test(a_long_name_is_cut),
		cmocka_unit_test(labels),
		WITH_ROOT(kubernetes_on_containerd),
		WITH_ROOT(kubernetes_on_others),
		WITH_ROOT(only_the_kubelets_logs),
		WITH_ROOT(plain_docker_and_podman),
		WITH_ROOT(containers_of_ctr_and_nerdctl),
		WITH_ROOT(containers_of_runc),
		WITH_ROOT(hostile_files),
		WITH_ROOT(hostile_names),
		WITH_ROOT(a_huge_file_is_not_read),
		WITH_ROOT(links_stay_below_the_root),
		cmocka_unit_test(no_such_root),
		WITH_ROOT(names_that_come_up_later),
		cmocka_unit_test(many_cgroups),
		cmocka_unit_test(filters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
