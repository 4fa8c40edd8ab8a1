package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/labctl/labctl/internal/host"
	"github.com/labctl/labctl/internal/session"
	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/provider/image"
	"github.com/labctl/labctl/schema"
)

func newImage(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "image",
		Short: "Make, list, verify and remove images",
		Long: `Images are kept in labctl's pool and shared by labs. A lab's apply makes those it needs, and its destroy leaves them:
these commands make them earlier, and remove them when no machine stands on them.`,
	}
	cmd.AddCommand(newImageBuild(o), newImagePull(o), newImageList(o), newImageVerify(o), newImagePrune(o))
	return cmd
}

// pool is the provider of this machine's images, for a command that is to be carried out here and not on the lab's host.
func pool(cmd *cobra.Command, o *options) (*image.Provider, error) {
	if err := session.Away(o, cmd.OutOrStdout(), cmd.ErrOrStderr(), "."); err != nil {
		return nil, err
	}
	return localPool()
}

// localPool is the provider of this machine's images.
func localPool() (*image.Provider, error) {
	helper, err := session.GuestHelper()
	if err != nil {
		return nil, err
	}
	return image.New(host.Local{}, session.DataRoot, image.Options{GuestBinary: helper}), nil
}

// makeImage has an image made unless it is there, and says which.
func makeImage(ctx context.Context, out io.Writer, images *image.Provider, want schema.Resource) error {
	have, err := images.Read(ctx, "", []schema.Resource{want})
	if err != nil {
		return err
	}
	var there *provider.Object
	if len(have) > 0 {
		there = &have[0]
	}
	change, err := images.Plan(&want, there)
	if err != nil {
		return err
	}
	key := want.Body.(*schema.Image).Key
	if change.Action == provider.NoOp {
		fmt.Fprintf(out, "The image %s is there (%s).\n", want.Addr.Name, key)
		return nil
	}
	if err := images.Apply(ctx, "", change); err != nil {
		return err
	}
	fmt.Fprintf(out, "The image %s is made (%s).\n", want.Addr.Name, key)
	return nil
}

func newImageBuild(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "build KIND",
		Short: "Make a built-in image: micro or debian",
		Long: `Makes a built-in image and keeps it in labctl's pool, where every lab whose image block has the same name and
'build' finds it. One that is there and up to date is left as it is, and one of an older labctl where machines stand on it.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			images, err := pool(cmd, o)
			if err != nil {
				return err
			}
			body := &schema.Image{Name: args[0], Build: args[0]}
			body.Key = schema.ImageKey(*body)
			if used, err := imageUsers(nil, session.DataRoot); err != nil {
				return err
			} else if err := images.DropOutdated(cmd.Context(), body.Key, used); err != nil {
				return err
			}
			want := schema.Resource{Addr: schema.Addr{Kind: "image", Name: args[0]}, Body: body}
			return makeImage(cmd.Context(), cmd.OutOrStdout(), images, want)
		},
	}
}
