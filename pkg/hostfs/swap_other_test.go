//go:build unix && !linux

package hostfs

import (
	"os"
	"testing"
)

// swap exchanges two names, with a moment in which one of them is free.
func swap(a, b string) error {
	if err := os.Rename(a, a+".x"); err != nil {
		return err
	}
	if err := os.Rename(b, a); err != nil {
		return err
	}
	return os.Rename(a+".x", b)
}

func rootCard(*testing.T) FS { return nil }
