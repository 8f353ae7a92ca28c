"""One module for each job type; a project has those that it names in AUTOMATION["PIPELINES"]."""
