// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// As alloc_kinds.c, for C++: new and delete of all kinds, and a new that throws.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <initializer_list>
#include <new>

#define SITE(name)                                                         \
	extern "C" const char __start_site_##name[], __stop_site_##name[]; \
	static uint64_t name##_bytes, name##_blocks;                       \
	static __attribute__((noinline, noclone, section("site_" #name))) void name()

#define HOLD(site, size) (site##_bytes += (size), site##_blocks++)

namespace
{
struct alignas(128) aligned {
	char bytes[256];
};

struct plain {
	char bytes[72];
};

void *volatile keep;
volatile size_t huge = static_cast<size_t>(1) << 60, vast = static_cast<size_t>(1) << 50;

template <typename T> T *opaque(T *p)
{
	keep = p;
	return static_cast<T *>(keep);
}
} // namespace

SITE(by_new)
{
	plain *p[10];

	for (auto &at : p) {
		at = opaque(new plain);
		HOLD(by_new, sizeof(plain));
	}
	for (int i = 0; i < 10; i += 2) {
		delete opaque(p[i]); // with its size
		by_new_bytes -= sizeof(plain);
		by_new_blocks--;
	}
	opaque(new char[333]);
	HOLD(by_new, 333);
	delete[] opaque(new char[100]);
	opaque(new (std::nothrow) char[55]);
	HOLD(by_new, 55);
	operator delete(opaque(operator new(99)));
	operator delete(opaque(operator new(99)), static_cast<size_t>(99));
}

SITE(by_aligned_new)
{
	opaque(new aligned);
	HOLD(by_aligned_new, sizeof(aligned));
	delete opaque(new aligned);
	opaque(new aligned[3]);
	HOLD(by_aligned_new, 3 * sizeof(aligned));
	delete[] opaque(new aligned[2]);
}

// A return probe in the way of an exception would end the program.
SITE(by_throw)
{
	int caught = 0;

	for (size_t size : {static_cast<size_t>(huge), static_cast<size_t>(vast)}) {
		try {
			opaque(operator new(size));
		} catch (const std::bad_alloc &) {
			caught++;
		}
		if (opaque(operator new(size, std::nothrow)))
			abort();
	}
	if (caught != 2)
		abort();
	opaque(new char[11]);
	HOLD(by_throw, 11);
}

#define PRINT(name)                                                                               \
	if (name##_blocks)                                                                        \
	printf("site %s %llx %llx %llu %llu\n", #name,                                            \
	       static_cast<unsigned long long>(reinterpret_cast<uintptr_t>(__start_site_##name)), \
	       static_cast<unsigned long long>(reinterpret_cast<uintptr_t>(__stop_site_##name)),  \
	       static_cast<unsigned long long>(name##_bytes),                                     \
	       static_cast<unsigned long long>(name##_blocks))

static void report()
{
	PRINT(by_new);
	PRINT(by_aligned_new);
	PRINT(by_throw);
	puts("done");
	fflush(stdout);
}

int main()
{
	static char out[4096], in[4096], line[512];

	setvbuf(stdout, out, _IOFBF, sizeof(out));
	setvbuf(stdin, in, _IOLBF, sizeof(in));
	report();
	while (fgets(line, sizeof(line), stdin)) {
		if (!strncmp(line, "new", 3))
			by_new();
		else if (!strncmp(line, "aligned", 7))
			by_aligned_new();
		else if (!strncmp(line, "throw", 5))
			by_throw();
		report();
	}
	return 0;
}
