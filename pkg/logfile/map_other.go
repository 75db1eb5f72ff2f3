//go:build !unix

package logfile

import (
	"errors"
	"os"
)

// mapPart maps nothing.
func mapPart(*os.File, int64, int) (part []byte, unmap func(), err error) {
	return nil, nil, errors.ErrUnsupported
}
