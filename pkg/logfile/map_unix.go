//go:build unix

package logfile

import (
	"os"
	"syscall"
)

// mapPart maps a part of a file.
func mapPart(f *os.File, off int64, size int) (part []byte, unmap func(), err error) {
	before := int(off % int64(os.Getpagesize())) // a mapping starts with a page
	pages, err := syscall.Mmap(int(f.Fd()), off-int64(before), before+size, syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		return nil, nil, err
	}
	return pages[before:], func() { _ = syscall.Munmap(pages) }, nil
}
