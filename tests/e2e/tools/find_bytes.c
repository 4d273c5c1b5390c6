/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * find_bytes PID TEXT [PEER]...: how often TEXT is in a process's memory and in the BPF maps that
 * it holds; what these keep of connections is looked for at the sockets of the peers.
 */
#define _GNU_SOURCE
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CHUNK (1 << 20)

#define MAX_SOCKETS 256

static char buf[CHUNK];
static int sockets[MAX_SOCKETS];
static size_t n_sockets, n_storages;

/* Pages that are not there read as nothing: they are passed over one by one. */
static size_t count(int fd, uint64_t from, uint64_t to, const char *text)
{
	size_t len = strlen(text), n = 0;

	while (from < to) {
		size_t want = to - from < CHUNK ? to - from : CHUNK;
		ssize_t got = pread(fd, buf, want, (off_t)from);

		if (got <= 0) {
			from += 4096;
			continue;
		}
		for (char *at = buf; (at = memmem(at, (size_t)(buf + got - at), text, len)); at++)
			n++;
		/* One that lies across two pieces. */
		from += (size_t)got > len && (size_t)got == CHUNK ? (size_t)got - len : (size_t)got;
	}
	return n;
}

static size_t in_process(const char *pid, const char *text)
{
	unsigned long from, to;
	char path[64], line[512], mode[8];
	size_t n = 0;
	FILE *maps;
	int fd;

	snprintf(path, sizeof(path), "/proc/%s/mem", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	snprintf(path, sizeof(path), "/proc/%s/maps", pid);
	maps = fopen(path, "re");
	if (fd < 0 || !maps)
		exit(1);
	while (fgets(line, sizeof(line), maps)) {
		if (sscanf(line, "%lx-%lx %7s", &from, &to, mode) == 3 && mode[0] == 'r' &&
		    to - from < 1ul << 32 && !strstr(line, "[v"))
			n += count(fd, from, to, text);
	}
	fclose(maps);
	close(fd);
	return n;
}

static size_t in(const char *bytes, size_t size, const char *text)
{
	return memmem(bytes, size, text, strlen(text)) ? 1 : 0;
}

/* Those of a process, as descriptors of ours. */
static void take_sockets(const char *pid)
{
	int pidfd = (int)syscall(SYS_pidfd_open, atoi(pid), 0), fd;
	char path[300], to[64];
	struct dirent *e;
	ssize_t n;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%s/fd", pid);
	d = opendir(path);
	if (pidfd < 0 || !d)
		exit(1);
	while ((e = readdir(d)) && n_sockets < MAX_SOCKETS) {
		n = readlinkat(dirfd(d), e->d_name, to, sizeof(to));
		if (n < 7 || memcmp(to, "socket:", 7))
			continue;
		fd = (int)syscall(SYS_pidfd_getfd, pidfd, atoi(e->d_name), 0);
		if (fd >= 0)
			sockets[n_sockets++] = fd;
	}
	closedir(d);
	close(pidfd);
}

/* What a map keeps of the peers' sockets. */
static size_t in_storage(int fd, const char *text, size_t size)
{
	char *value = calloc(1, size);
	size_t n = 0;

	for (size_t i = 0; value && i < n_sockets; i++) {
		if (bpf_map_lookup_elem(fd, &sockets[i], value))
			continue;
		n_storages++;
		n += in(value, size, text);
	}
	free(value);
	return n;
}

/* Keys and values. Rings and queues cannot be walked: those that we read are in our memory. */
static size_t in_map(const char *id, const char *text)
{
	struct bpf_map_info info = {0};
	uint32_t len = sizeof(info);
	char *key, *next, *value;
	size_t size, n = 0;
	int fd = bpf_map_get_fd_by_id((uint32_t)atoi(id));

	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &len))
		exit(1);
	if (info.type == BPF_MAP_TYPE_SK_STORAGE)
		return in_storage(fd, text, info.value_size);
	size = ((size_t)info.value_size + 7) / 8 * 8 * (size_t)libbpf_num_possible_cpus();
	key = calloc(1, info.key_size + 1);
	next = calloc(1, info.key_size + 1);
	value = calloc(1, size + 1);
	if (!key || !next || !value)
		exit(1);
	/* Where the key is gone, a walk begins anew: under load it would not end. */
	for (uint32_t i = 0; i < 2 * info.max_entries; i++) {
		if (bpf_map_get_next_key(fd, i ? key : NULL, next))
			break;
		size_t found = in(next, info.key_size, text);

		if (!bpf_map_lookup_elem(fd, next, value))
			found += in(value, size, text);
		if (found)
			fprintf(stderr, "found in map %s, element %u\n", info.name, i);
		n += found;
		memcpy(key, next, info.key_size);
	}
	return n;
}

/* Maps of a process, by its descriptors. */
static size_t in_maps(const char *pid, const char *text, size_t *maps)
{
	char path[300], line[256], id[32];
	struct dirent *e;
	size_t n = 0;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%s/fdinfo", pid);
	d = opendir(path);
	while (d && (e = readdir(d))) {
		FILE *f;

		snprintf(path, sizeof(path), "/proc/%s/fdinfo/%s", pid, e->d_name);
		f = fopen(path, "re");
		while (f && fgets(line, sizeof(line), f)) {
			if (sscanf(line, "map_id: %31s", id) != 1)
				continue;
			++*maps;
			n += in_map(id, text);
		}
		if (f)
			fclose(f);
	}
	if (d)
		closedir(d);
	return n;
}

int main(int argc, char **argv)
{
	size_t maps = 0;

	if (argc < 3)
		return 2;
	for (int i = 3; i < argc; i++)
		take_sockets(argv[i]);
	printf("memory %zu", in_process(argv[1], argv[2]));
	printf(" maps %zu", in_maps(argv[1], argv[2], &maps));
	printf(" of %zu sockets %zu\n", maps, n_storages);
	return 0;
}
