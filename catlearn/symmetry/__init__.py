"""Groups, their representations, and the functor from diagrams to linear maps."""
