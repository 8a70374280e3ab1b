/* LD_PRELOAD: a wall clock that a test sets, of as many processes as it likes. PNLCACHE_WALL_CLOCK names a file of one number in
 * the machine's own form, an int64_t: nanoseconds to add. All read it through a mapping, so that a step is seen by the
 * next look at the clock, everywhere.
 *
 * Only the wall clock: a step of it (a wrong time server, an administrator) leaves the monotonic clock alone. */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_SECOND 1000000000

typedef int (*get_clock)(clockid_t, struct timespec *);

static const _Atomic int64_t zero;
static const _Atomic int64_t *offset_ns = &zero;
static get_clock real_clock_gettime;

__attribute__((constructor)) static void map_offset(void)
{
    const char *path = getenv("PNLCACHE_WALL_CLOCK");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;

    *(void **)&real_clock_gettime = dlsym(RTLD_NEXT, "clock_gettime");
    if (fd < 0)
        return;
    void *mapped = mmap(NULL, sizeof(*offset_ns), PROT_READ, MAP_SHARED, fd, 0);
    if (mapped != MAP_FAILED)
        offset_ns = mapped;
    (void)close(fd);
}

int clock_gettime(clockid_t id, struct timespec *ret)
{
    if (!real_clock_gettime) /* another library's constructor */
        map_offset();
    int result = real_clock_gettime(id, ret);
    if (result == 0 && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) {
        int64_t ns = (int64_t)ret->tv_sec * NS_PER_SECOND + ret->tv_nsec + *offset_ns;
        ret->tv_sec = (time_t)(ns / NS_PER_SECOND);
        ret->tv_nsec = ns % NS_PER_SECOND;
    }
    return result;
}

int gettimeofday(struct timeval *restrict ret, void *restrict zone)
{
    struct timespec now;

    (void)zone;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    ret->tv_sec = now.tv_sec;
    ret->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *ret)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    if (ret)
        *ret = now.tv_sec;
    return now.tv_sec;
}
