/* LD_PRELOAD: memory that cannot be had. PNLCACHE_NO_MEMORY names a file of one number in the machine's own form, an int64_t: how many
 * allocations from now on, by whatever thread or library, the first one fails. It counts down there; 0 and below: none fails. */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* glibc's own, so that nothing need be looked up where nothing may be allocated. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *old, size_t size);

static _Atomic int64_t *countdown;

__attribute__((constructor)) static void map_countdown(void)
{
    const char *path = getenv("PNLCACHE_NO_MEMORY");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;

    if (fd < 0)
        return;
    void *mapped = mmap(NULL, sizeof(*countdown), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (mapped != MAP_FAILED)
        countdown = mapped;
    (void)close(fd);
}

static bool fails(void)
{
    if (!countdown || *countdown <= 0 || (*countdown)-- != 1)
        return false;
    errno = ENOMEM;
    return true;
}

void *malloc(size_t size)
{
    return fails() ? NULL : __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
    return fails() ? NULL : __libc_calloc(n, size);
}

void *realloc(void *old, size_t size)
{
    return fails() ? NULL : __libc_realloc(old, size);
}
