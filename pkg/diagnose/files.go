package diagnose

import (
	"context"
	"fmt"

	"pi-key-tools/pkg/hostfs"
	"pi-key-tools/pkg/record"
	"pi-key-tools/pkg/strictmodes"
)

// Files judges the files of the account that fsys is logged in to as the server
// there does, and returns a failure for each thing that it refuses.
func Files(ctx context.Context, fsys hostfs.FS, server strictmodes.Server) ([]record.Record, error) {
	who, err := fsys.Account(ctx)
	if err != nil {
		return nil, fmt.Errorf("asking who we are there: %w", err)
	}
	findings, err := strictmodes.Judge(ctx, fsys, who, nil, server)
	if err != nil {
		return nil, fmt.Errorf("judging %s: %w", who.Home, err)
	}
	records := make([]record.Record, len(findings))
	for i, f := range findings {
		records[i] = failure(f.Cause, f.Path, "pikeyfix", "%s", f.Detail)
	}
	return records, nil
}
