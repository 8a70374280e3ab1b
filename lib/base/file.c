#include "lib/base/file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum status file_read(const char *path, struct buf *out, struct err *err)
{
    FILE *file = fopen(path, "re");
    size_t got, start = out->len;
    char block[4096];
    bool failed;

    if (file == NULL)
        return err_fail(err, errno == ENOENT ? STATUS_NOT_FOUND : STATUS_INVALID, "cannot read %s: %s", path,
                        strerror(errno));
    while ((got = fread(block, 1, sizeof block, file)) > 0 && out->len - start <= FILE_READ_MAX)
        buf_append(out, block, got);
    failed = ferror(file) != 0;
    (void)fclose(file);
    if (failed)
        return err_fail(err, STATUS_INVALID, "cannot read %s", path);
    if (out->len - start > FILE_READ_MAX)
        return err_fail(err, STATUS_INVALID, "%s is larger than %d bytes", path, FILE_READ_MAX);
    if (buf_status(out) != STATUS_OK)
        return err_fail(err, STATUS_NO_MEMORY, "out of memory");
    return STATUS_OK;
}

struct file_mark file_mark_take(const char *path)
{
    struct stat info;

    if (stat(path, &info) != 0)
        return (struct file_mark){0};
    return (struct file_mark){.device = info.st_dev,
                              .inode = info.st_ino,
                              .size = (uint64_t)info.st_size,
                              .changed_ns = info.st_ctim.tv_sec * INT64_C(1000000000) + info.st_ctim.tv_nsec};
}

bool file_mark_equal(const struct file_mark *a, const struct file_mark *b)
{
    return a->device == b->device && a->inode == b->inode && a->size == b->size && a->changed_ns == b->changed_ns;
}
